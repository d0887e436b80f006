-- Has requests read from both their ends, of any size, and writes down what the reader reports, as cuts.lua does.

local reports = ...

-- `first` and `last` are the ends: see envoy/request.lua. Returns the report, and how many bytes were asked for.
local function read(reader, body, first, last)
  local asked = 0
  local function bytes(from, length)
    assert(from >= 0 and length > 0 and from + length <= #body, "bytes that are not there")
    asked = asked + length
    return body:sub(from + 1, from + length)
  end
  return reports.line(reader.read(#body, bytes, first, last)), asked
end

-- The first sizes of both ends with which the report is not the expected one, and what it is then; nil if there are none.
local function ends_that_matter(reader, body, expected)
  for first = 0, #body do
    for last = 1, #body - first do
      local got = read(reader, body, first, { last })
      if got ~= expected then return first, last, got end
    end
  end
end

-- A body of `count` equal pieces between two others, of which nobody keeps more than what is asked for. Returns the report and the
-- most KiB that the heap grew, garbage aside.
local function heap_of(reader, head, piece, count, tail)
  local until_tail = #head + #piece * count
  local function bytes(from, length)
    local parts = {}
    while length > 0 do
      local text, at = piece, (from - #head) % #piece
      if from < #head then text, at = head, from elseif from >= until_tail then text, at = tail, from - until_tail end
      local part = text:sub(at + 1, at + length)
      parts[#parts + 1] = part
      from, length = from + #part, length - #part
    end
    return table.concat(parts)
  end
  collectgarbage()
  local before, most, asked = collectgarbage("count"), 0, 0
  local report = reader.read(until_tail + #tail, function(from, length)
    asked = asked + 1
    if asked % 64 == 0 then
      collectgarbage()
      most = math.max(most, collectgarbage("count") - before)
    end
    return bytes(from, length)
  end, 16384, { 8192 })
  return reports.line(report), most
end

return { read = read, ends_that_matter = ends_that_matter, heap_of = heap_of }
