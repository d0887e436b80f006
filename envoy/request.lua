-- WHAT A REQUEST ASKS FOR: `model`, `stream` and the most tokens, wherever they stand at the top of its JSON. Never a `model` in
-- a message or in the schema of a tool: the scan knows its depth.
--
-- Of a long body nearly all is one long value, the conversation, and what is asked for stands before or behind it. So both ends are
-- read first, and if all three are there, nothing else is. Otherwise the whole body is read: what is missing may stand in between,
-- and that it stands nowhere is known only at the end. Of two equal keys the last one counts, as in most parsers, but one between
-- the ends is not seen.

local byte, sub = string.byte, string.sub

local TOP = {
  is_object = "is_object",
  fields = {
    model = { keep = "model" },
    stream = { keep = "stream" },
    max_tokens = { count = "max_tokens" },
    max_completion_tokens = { count = "max_tokens" },
    max_output_tokens = { count = "max_tokens" },
  },
}

local LONGEST_MODEL = 128
local LARGEST_PIECE = 32768   -- for a string of 128 KiB or more LuaJIT would ask the system for memory each time

local SPACE = { [32] = true, [9] = true, [10] = true, [13] = true }

-- Where the string begins whose closing quote is at `i`, or 0 if that is not in the text. A quote within a string has an odd number
-- of backslashes before it, an opening one has none.
local function start_of_string(text, i)
  repeat
    i = i - 1
    while i > 0 and byte(text, i) ~= 34 do i = i - 1 end
    local before = i - 1
    while before > 0 and byte(text, before) == 92 do before = before - 1 end
  until (i - before) % 2 == 1
  return i
end

-- Where the comma stands behind which the rest of an object consists of whole fields, nil if there is none. `text` is the end of a
-- JSON text and is read backwards. That is as certain as reading forwards: outside of strings no byte means anything else because
-- of those before it, and where a string begins can be told (above).
local function first_whole_field(text)
  local i, depth, found = #text, 0, nil
  while SPACE[byte(text, i)] do i = i - 1 end
  if byte(text, i) ~= 125 then return nil end
  i = i - 1
  while i > 0 do
    local c = byte(text, i)
    if c == 34 then i = start_of_string(text, i)
    elseif c == 44 and depth == 0 then found = i
    elseif c == 125 or c == 93 then depth = depth + 1
    elseif c == 123 or c == 91 then depth = depth - 1 end
    if depth < 0 then return nil end   -- an object in the text has ended that is not the body's
    i = i - 1
  end
  return found
end

local function read_end(text)
  local comma = first_whole_field(text)
  if not comma then return {} end
  local scan = json_scan.new(TOP)
  scan:feed("{")
  scan:feed(sub(text, comma + 1))
  return scan:is_complete() and scan.found or {}
end

local function joined(last, first)
  local function value(name)
    if last[name] ~= nil then return last[name] end
    return first[name]
  end
  return { model = value("model"), stream = value("stream"), max_tokens = value("max_tokens") }
end

local function has_all(found)
  return found.model ~= nil and found.stream ~= nil and found.max_tokens ~= nil
end

local function report_of(found)
  local report = { max_tokens = found.max_tokens }
  -- What is no plain letter would have to be valid UTF-8 all the way to the log.
  if type(found.model) == "string" then report.model = found.model:sub(1, LONGEST_MODEL):gsub("[^\33-\126]", "_") end
  if type(found.stream) == "boolean" then report.stream = found.stream end
  return report
end

-- Reads a body of `size` bytes, of which `bytes(from, length)` gives some, counted from 0. `first` is how many are read at its
-- beginning, `last` how many at its end in a first try, a second and so on. Returns the report; its `unread` says that the body is
-- no JSON object.
local function read(size, bytes, first, last)
  local scan = json_scan.new(TOP)
  local from = 0
  local function read_on(to)
    while from < to do
      local length = math.min(LARGEST_PIECE, to - from)
      scan:feed(bytes(from, length))
      from = from + length
    end
  end
  read_on(math.min(first, size))
  for n = 1, #last do
    if first + last[n] > size or scan:is_bad() or not scan.found.is_object then break end
    local found = joined(read_end(bytes(size - last[n], last[n])), scan.found)
    if has_all(found) then return report_of(found) end
  end
  read_on(size)
  if scan:is_complete() and scan.found.is_object then return report_of(scan.found) end
  return { unread = "json" }
end

return { read = read }
