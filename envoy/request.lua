-- WHAT A REQUEST ASKS FOR: `model`, `stream` and the most tokens, wherever they stand at the top of its JSON. Never a `model` in
-- a message or in the schema of a tool: the scan knows its depth.
--
-- Of a long body nearly all is one long value, the conversation, and what is asked for stands before or behind it. So both ends are
-- read first, and if all three are there, that is all. Only then: what has not been found may stand in between, and that it stands
-- nowhere is known at the end alone. Of two equal keys the last one counts, as in most parsers, unless it stands between the ends.

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
local LARGEST_PIECE = 32768   -- of 128 KiB and more LuaJIT asks the system for each string

local SPACE = { [32] = true, [9] = true, [10] = true, [13] = true }

-- From a string's closing quote back to its opening one, 0 if that is not in the text: an odd number of backslashes stands before a
-- quote within a string, none before an opening one.
local function start_of_string(text, i)
  repeat
    i = i - 1
    while i > 0 and byte(text, i) ~= 34 do i = i - 1 end
    local before = i - 1
    while before > 0 and byte(text, before) == 92 do before = before - 1 end
  until (i - before) % 2 == 1
  return i
end

-- The end of an object, read backwards: behind which comma its first field begins that is here as a whole. From the end of a JSON
-- text the way back is as certain as the way there: outside of strings nothing needs the bytes before it, and of strings see above.
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
    if depth < 0 then return nil end   -- it ends more than the body
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

-- Reads a body of `size` bytes; `bytes(from, length)` gives some of them, from 0 on. `first` bytes are the one end, each of `last`
-- another try at the other. Returns the report; its `unread` says that the body is no JSON object.
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
