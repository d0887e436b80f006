-- Feeds a reader with a body in pieces and writes down what it reports, in one line. In Lua, because there are many ways to cut.

-- `kind=events;model=glm-5.2`: by name, so that two reports can be compared as texts.
local function line(report)
  local parts = {}
  for name, value in pairs(report) do
    if type(value) == "number" then value = string.format("%.17g", value) end
    parts[#parts + 1] = tostring(name) .. "=" .. tostring(value)
  end
  table.sort(parts)
  return table.concat(parts, ";")
end

-- What is known when the pieces have passed, and once the reader was told that it was all. Whoever publishes the report does so
-- when a call has returned true: what it has published is checked against the report after each.
local function read(new, kind, pieces)
  local reader = new(kind)
  local published = nil
  for n = 1, #pieces + 1 do
    local has_changed
    if n <= #pieces then has_changed = reader:feed(pieces[n]) else has_changed = reader:finish() end
    local now = line(reader.report)
    if not has_changed and now ~= published then
      error("changed without saying so, from " .. tostring(published) .. " to " .. now .. " at piece " .. n)
    end
    published = now
    if n == #pieces then kind = now end
  end
  return kind, published
end

local function finished(new, kind, ...)
  local reader = new(kind)
  for n = 1, select("#", ...) do reader:feed((select(n, ...))) end
  reader:finish()
  return line(reader.report)
end

-- The first place (or pair of them) where a cut changes the report, and what it is then; nil if there is none.
local function first_cut_that_matters(new, kind, body, expected)
  for cut = 0, #body do
    local got = finished(new, kind, body:sub(1, cut), body:sub(cut + 1))
    if got ~= expected then return cut, cut, got end
  end
end

-- All pairs, or `most` of them from everywhere: primes lead to each place.
local function first_pair_that_matters(new, kind, body, expected, most)
  local n = #body
  local is_few = n * (n + 1) / 2 <= most
  for k = 1, is_few and n * n or most do
    local first = is_few and math.floor((k - 1) / n) or k * 7919 % n
    local last = is_few and (k - 1) % n + 1 or first + 1 + k * 104729 % (n - first)
    if first < last then
      local got = finished(new, kind, body:sub(1, first), body:sub(first + 1, last), body:sub(last + 1))
      if got ~= expected then return first, last, got end
    end
  end
end

local function in_pieces_of(new, kind, body, size)
  local reader = new(kind)
  for from = 1, #body, size do reader:feed(body:sub(from, from + size - 1)) end
  reader:finish()
  return line(reader.report)
end

-- A body of `count` equal pieces between two others. Returns the report and the most KiB that the heap grew, garbage aside.
local function heap_of(new, kind, head, piece, count, tail)
  collectgarbage()
  local before, most = collectgarbage("count"), 0
  local reader = new(kind)
  reader:feed(head)
  for n = 1, count do
    reader:feed(piece)
    if n % 64 == 0 then
      collectgarbage()
      most = math.max(most, collectgarbage("count") - before)
    end
  end
  reader:feed(tail)
  reader:finish()
  return line(reader.report), most
end

-- Events and bytes that have been told of after each piece, by whoever tells of them when a call has returned true; then at the end.
local function told_sizes(new, kind, pieces)
  local reader = new(kind)
  local events, bytes, apart, times = 0, 0, 0, 0
  local told = {}
  for n = 1, #pieces + 1 do
    local has_changed
    if n <= #pieces then has_changed = reader:feed(pieces[n]) else has_changed = reader:finish() end
    if has_changed and reader.events then events, bytes, apart = reader.events, reader.bytes - reader.apart, reader.apart end
    if has_changed then times = times + 1 end
    told[#told + 1] = table.concat({ events, bytes, apart, times }, " ")
  end
  return table.concat(told, "\n")
end

return {
  line = line,
  told_sizes = told_sizes,
  read = read,
  first_cut_that_matters = first_cut_that_matters,
  first_pair_that_matters = first_pair_that_matters,
  in_pieces_of = in_pieces_of,
  heap_of = heap_of,
}
