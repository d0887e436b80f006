-- WHAT AN ANSWER SAYS: usage, model, how it ended, and whether it is an error. One reader for event streams and JSON, and for the
-- filter that decides on retries: there is one table of envelopes, one of final events, and they are here.
--
-- An answer comes in pieces of any size; an event may be cut anywhere. Each event's data goes through one pass of json_scan, so no
-- event is kept, however long it is. Most events of a stream say nothing that matters: once the answer has begun and its model is
-- known, whole events are passed over in which no word stands that could (`may_matter`), and that is a dozen plain searches.
--
-- Beside the report stands how many events there were and how many bytes they had: if no tokens are reported, they are estimated
-- from that. Events before anything was generated, and events that only repeat what was there, are counted apart.
--
-- If several events report the same field, this one counts: of a number the last positive one (a later zero or null erases nothing),
-- of the model the first, of the stop reason the last (but a network_error stays), of errors the first that comes before the end.
-- Whether there was a number of cached tokens at all, be it 0, is told apart: 0 from the cache is news, no word of it is none.

local byte, find, sub, match, gsub, gmatch = string.byte, string.find, string.sub, string.match, string.gsub, string.gmatch

local LARGEST_EVENT = 16 * 1024 * 1024   -- a longer one passes unread, and `unread` says so
local LONGEST_TEXT = 128                 -- bytes kept of data that is no JSON (`[DONE]`, `[1305][…`) and read of an error's text
local LONGEST_WORD = 32
local LONGEST_MODEL = 128
local LONGEST_OPENING = 64               -- events in which the model is looked for whether or not they look as if they mattered
local FRAME = 120                        -- bytes of an event, at least, that hold no text
local MOST_CHOICES = 128                 -- of so many choices the ends are noted; if there are more, only `[DONE]` ends the answer

local COUNTS = {
  "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
  "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens",
}
local CACHED = { count = "cached_tokens", told = "tells_cache" }
local DETAILS = { fields = { cached_tokens = CACHED, reasoning_tokens = { count = "reasoning_tokens" } } }
local USAGE = {
  fields = {
    input_tokens = { count = "input_tokens" },                                   -- Messages, Responses
    output_tokens = { count = "output_tokens" },
    cache_read_input_tokens = { count = "cache_read_input_tokens", told = "tells_cache" },   -- Messages
    cache_creation_input_tokens = { count = "cache_creation_input_tokens" },
    prompt_tokens = { count = "prompt_tokens" },                                 -- Chat Completions
    completion_tokens = { count = "completion_tokens" },
    prompt_tokens_details = DETAILS, completion_tokens_details = DETAILS,
    input_tokens_details = DETAILS, output_tokens_details = DETAILS,             -- Responses
  },
}
-- An error is an object, a sentence, a code or just `true`, or an array of those. If somebody on the way wrapped it again, it stands
-- within another error, however deep.
local INNER = { keep = "inner_text" }
INNER.fields = {
  code = { keep = "inner_code" }, type = { keep = "inner_type" }, message = { keep = "inner_message" }, msg = { keep = "inner_message" },
  error = INNER,
}
local ERROR_FIELDS = {
  code = { keep = "error_code" }, type = { keep = "error_type" }, message = { keep = "error_message" }, msg = { keep = "error_message" },
  error = INNER,
}
local ERROR = {
  is_object = "has_error", has_items = "has_error", keep = "error_text", fields = ERROR_FIELDS,
  items = { text = "error_message", fields = ERROR_FIELDS },
}
local ERRORS = {   -- in an answer with content these can be warnings
  is_object = "has_errors", has_items = "has_errors", fields = ERROR_FIELDS, items = ERROR.items,
}
local STATUS = { keep = "status" }   -- an HTTP status in the body, beside a sentence

-- KNOWN_NAMES are all words that name an error: Z.AI's own codes, types, and codes in words. TELLING_CODES are those of the codes that
-- say more than the type beside them. SPOKEN_NAMES are looked for in an error's sentence, if nothing else names it.
local KNOWN_NAMES = ${KNOWN_NAMES}
local TELLING_CODES = ${TELLING_CODES}
local SPOKEN_NAMES = ${SPOKEN_NAMES}
local NETWORK_ERROR = "network_error"   -- Z.AI's stop reason for a failure

local function word(value)
  if type(value) ~= "string" or value == "" then return nil end
  return (gsub(sub(value, 1, LONGEST_WORD), "[^%w_.-]", "_"))
end

-- CHOICES of Chat Completions: which have been seen, and how many of them have not finished.
local function note_choice(choices, index, has_finished)
  local known = choices.finished[index]
  if known == nil then
    if choices.count == MOST_CHOICES then
      choices.are_too_many = true
      return
    end
    choices.count = choices.count + 1
    choices.running = choices.running + (has_finished and 0 or 1)
  elseif has_finished and not known then
    choices.running = choices.running - 1
  end
  choices.finished[index] = known or has_finished
end

local function no_choices()
  return { finished = {}, count = 0, running = 0 }
end

-- Called at the end of each item of `choices`. An item without a number is the first choice.
local function end_choice(found)
  local index = type(found.index) == "number" and found.index > 0 and found.index or 0
  found.choices = found.choices or no_choices()
  note_choice(found.choices, index, type(found.finish) == "string")
  if word(found.finish) == NETWORK_ERROR then found.has_failed = true end
  found.index, found.finish = nil, nil
end

-- ENVELOPES: all that Z.AI's endpoints are known to send, at the top of an event or of a JSON answer.
local TOP = {
  keep = "text",
  items = { fields = { error = ERROR, jsonrpc = { text = "rpc" } } },
  fields = {
    type = { keep = "type" },
    model = { text = "model" },
    usage = USAGE,
    stop_reason = { text = "stop" },
    choices = {
      is_array = "has_answer", has_items = "has_choices",
      items = { fields = { index = { keep = "index" }, finish_reason = { text = "stop", keep = "finish" } }, at_end = end_choice },
    },
    content = { is_array = "has_answer", has_items = "has_content" },
    output = { is_array = "has_answer", has_items = "has_content" },
    data = { has_items = "has_content" },   -- embeddings
    delta = { fields = { stop_reason = { text = "stop" } } },
    message = {
      keep = "message",
      fields = { model = { text = "inner_model" }, usage = USAGE, stop_reason = { text = "stop" } },
    },
    response = {
      fields = {
        model = { text = "inner_model" },
        usage = USAGE,
        error = {
          text = "failed_message",
          fields = { code = { keep = "failed_code" }, type = { keep = "failed_type" }, message = { keep = "failed_message" } },
        },
      },
    },
    error = ERROR, errors = ERRORS,
    code = { keep = "code" },
    msg = { keep = "msg" },
    success = { keep = "success" },
    status = STATUS, status_code = STATUS, statusCode = STATUS,
    object = { text = "object" },
    -- Servers in Python put what they have to say of an error one level deeper.
    detail = {
      fields = {
        error = ERROR, errors = ERRORS, code = { keep = "code" }, msg = { keep = "msg" }, message = { keep = "message" },
      },
    },
    jsonrpc = { text = "rpc" },
  },
}

-- FINAL EVENTS: what the clients of a dialect take for the end. (Chat Completions: `[DONE]`, or the usage once each choice that was
-- seen has its finish_reason. Where no event has told of a dialect, `[DONE]` is the end too.)
local FINAL = {
  ["message_stop"] = true,
  ["response.completed"] = true, ["response.incomplete"] = true, ["response.failed"] = true,
}
-- Events that come before anything was generated. (So does what is of no dialect: `ping`, a keepalive.)
local NOT_BEGUN = {
  ["message_start"] = true,
  ["response.created"] = true, ["response.in_progress"] = true, ["response.queued"] = true,
}

-- Whether a type is of Messages or Responses, where it alone says which event is the last.
local function is_typed(kind)
  return kind and (find(kind, "^message_") or find(kind, "^content_block") or find(kind, "^response%.")) and true or false
end

local Answer = {}
Answer.__index = Answer

-- `kind` is what the answer's head says that it is: "events", "json", "text", or "plain", which can be any of them. Unless it is
-- "text", the first bytes of the answer are believed rather than its head.
local function new(kind)
  local report = { kind = kind == "plain" and "text" or kind }
  local self = setmetatable({ report = report, scan = json_scan.new(TOP), bytes = 0, is_untold = true }, Answer)
  self.text, self.has_head = "", kind == "text"
  if kind == "events" then self:begin_stream() end
  return self
end

function Answer:begin_stream()
  self.opening, self.events, self.apart, self.next_events, self.next_inside = true, 0, 0, 1, 1
  self.frames = 0
  self.line, self.is_data, self.after_cr = "", false, false
  self:begin_event()
end

local function code_of(value)
  if type(value) == "number" then
    if value % 1 ~= 0 or value < 100 or value > 9999 then return nil end
    value = string.format("%d", value)
  end
  if type(value) ~= "string" or not match(value, "^%d%d%d%d?$") or match(value, "^2%d%d$") then return nil end
  return value
end

local function code_in(text)
  return type(text) == "string" and code_of(match(text, '^"?%[(%d%d%d%d?)%]')) or nil
end

-- Z.AI's code in the text of an error: in the brackets with which it begins, or further on if somebody on the way has put the error
-- into a sentence.
local function code_within(text)
  if type(text) ~= "string" then return nil end
  local code = code_in(text)
  if code then return code end
  text = sub(text, 1, LONGEST_TEXT)
  for digits in gmatch(text, "%[(%d%d%d%d)%]") do
    if KNOWN_NAMES[digits] then return digits end
  end
  for digits in gmatch(text, [[code[\"']+ ?: ?[\"']*(%d+)]]) do
    if #digits == 4 and KNOWN_NAMES[digits] then return digits end
  end
  return nil
end

-- The first of the names that stands in the text as words of their own; of two that begin there the longer.
local function name_within(text)
  if type(text) ~= "string" then return nil end
  local words = "_" .. gsub(sub(text, 1, LONGEST_TEXT):lower(), "[^%l%d]+", "_") .. "_"
  local first, name
  for each in pairs(SPOKEN_NAMES) do
    local at = find(words, "_" .. each .. "_", 1, true)
    if at and (not first or at < first or (at == first and #each > #name)) then first, name = at, each end
  end
  return name
end

-- An array of the values that are there.
local function those(...)
  local values = {}
  for n = 1, select("#", ...) do
    local value = select(n, ...)
    if value ~= nil then values[#values + 1] = value end
  end
  return values
end

-- The first result that a function has for one of the values.
local function first_of(values, read)
  for n = 1, #values do
    local result = read(values[n])
    if result then return result end
  end
  return nil
end

local function any_word(value)
  return not code_of(value) and word(value) or nil
end

local function known_word(value)
  local name = any_word(value)
  return name and KNOWN_NAMES[name] and name or nil
end

local function telling_word(value)
  local name = any_word(value)
  return name and TELLING_CODES[name] and name or nil
end

local function is_missing_path(text)
  return type(text) == "string" and find(text, "NOT_FOUND", 1, true) ~= nil
end

-- What an error is called: by Z.AI's code, else by a word that is known, else by the HTTP status that stands in place of a code, else
-- by what its texts speak of, else by any word. Each argument is an array, the outermost first.
local function code_of_error(codes, kinds, outer, texts)
  local three
  for _, values in ipairs({ codes, kinds, outer, texts }) do
    for n = 1, #values do
      local code
      if values == texts then code = code_within(values[n]) else code = code_of(values[n]) end
      if code and #code == 4 then return code end
      three = three or code
    end
  end
  if three == "500" and first_of(texts, is_missing_path) then return "404" end
  if three and KNOWN_NAMES[three] then return three end
  return first_of(codes, telling_word) or first_of(kinds, known_word) or first_of(codes, known_word) or three
    or first_of(texts, name_within) or first_of(kinds, any_word) or first_of(codes, any_word) or "unknown"
end

-- Whether a value says nothing of an error, or that there is none.
local WELL = { ["0"] = true, success = true, ok = true, none = true, null = true, ["false"] = true }
local function is_nothing(value)
  if type(value) == "string" then return WELL[value:lower()] or match(value, "^2%d%d$") ~= nil end
  if type(value) == "number" then return value == 0 or (value >= 200 and value < 300 and value % 1 == 0) end
  return not value
end

-- Some servers write an error of empty fields, or one of success, into each good answer.
local function is_empty_error(found)
  local code = found.error_code
  if not (is_nothing(found.error_type) and is_nothing(code)) then return false end
  if not (is_nothing(found.inner_type) and is_nothing(found.inner_code) and is_nothing(found.inner_text)) then return false end
  return code and true or (is_nothing(found.error_message) and is_nothing(found.inner_message))
end

-- Whether there is more in an object than its error. (An empty one that is all there is was still meant to be one.)
local function has_company(found)
  if found.has_answer or found.has_content or found.success == true or found.model or found.inner_model then return true end
  if found.code and is_nothing(found.code) then return true end
  if type(found.type) == "string" and found.type ~= "error" and found.type ~= "response.failed" then return true end
  for n = 1, #COUNTS do
    if found[COUNTS[n]] then return true end
  end
  return false
end

-- Whether there is an error under its own key.
local function has_error(found)
  if found.has_error and not (is_empty_error(found) and has_company(found)) then return true end
  if found.has_errors and not has_company(found) then return true end
  local said = found.error_text
  if type(said) == "string" then return not (is_nothing(said) and has_company(found)) end
  return not is_nothing(said) and not (found.has_answer or found.has_content)
end

-- An error that is a value: it can be a code or a name, and is no more than a text otherwise.
local function name_in(value)
  return (code_of(value) or known_word(value)) and value or nil
end

local function status_in(value)
  local code = code_of(value)
  return code and match(code, "^[45]%d%d$")
end

-- What names an error that is not under a key of its own.
local function code_of_all(found, kind)
  return code_of_error(those(found.code), those(kind), those(status_in(found.status)), those(found.msg, found.message))
end

-- The code of an envelope that is an error; nil if it is none. An error stands at the top, never in a text or a tool's result.
local function error_in(found)
  if found.rpc then
    -- A tool's own numbers are anything (-32000, 500): only one of four digits is Z.AI's.
    local code = code_of(found.error_code) or code_in(found.error_message)
    return found.has_error and code and #code == 4 and code or nil
  end
  if has_error(found) then
    return code_of_error(
      those(found.error_code, found.inner_code, name_in(found.error_text), name_in(found.inner_text)),
      those(found.error_type, found.inner_type),
      those(found.code, status_in(found.status)),
      those(found.error_message, found.inner_message, found.error_text, found.inner_text, found.msg, found.message)
    )
  end
  if found.type == "error" then return code_of_all(found, nil) end
  if found.object == "error" then return code_of_all(found, found.type) end
  if found.type == "response.failed" then
    return code_of_error(those(found.failed_code), those(found.failed_type), {}, those(found.failed_message))
  end
  if found.has_answer then return nil end
  local text = type(found.msg) == "string" and found.msg or type(found.message) == "string" and found.message or nil
  local has_failed = found.success == false
  if not text and not has_failed then return nil end
  local is_error = has_failed and text or code_of(found.code) or known_word(found.code)
  if not is_error and not has_company(found) then
    local code = code_in(text)
    is_error = has_failed or status_in(found.status) or (code and #code == 4 and KNOWN_NAMES[code])
  end
  return is_error and code_of_all(found, nil) or nil
end

function Answer:set(name, value)
  if self.report[name] ~= value then
    self.report[name] = value
    self.has_changed = true
  end
end

function Answer:note_error(code)
  if not self.report.code then self:set("code", code) end
end

-- Takes over what has been found in an object, which need not be whole yet. Returns whether it told of usage. A model further
-- inside counts only if there is none at the top, so only once the object is whole.
function Answer:merge(found, is_whole)
  local report, told = self.report, false
  for n = 1, #COUNTS do
    local value = found[COUNTS[n]]
    if value then
      told = true
      self:set(COUNTS[n], value)
    end
  end
  if found.tells_cache then self:set("tells_cache", true) end
  local model = found.model or (is_whole and found.inner_model)
  if not report.model and type(model) == "string" then
    self:set("model", (gsub(sub(model, 1, LONGEST_MODEL), "[^\33-\126]", "_")))
  end
  local stop = found.has_failed and NETWORK_ERROR or word(found.stop)
  if stop and not self.has_failed and not (self.is_over and stop == NETWORK_ERROR) then self:set("stop", stop) end
  return told
end

-- EVENT STREAMS ------------------------------------------------------------------------------------------------------------

function Answer:begin_event()
  self.name, self.text, self.has_data, self.has_line, self.event_bytes, self.is_json = "", "", false, false, 0, nil
  self.is_bare, self.has_open_bare = false, false
end

-- A part of an event's data. The first byte that is no space tells JSON from text.
function Answer:take_data(data)
  if data == "" then return end
  self.event_bytes = self.event_bytes + #data
  if self.is_json == nil then
    local first = match(data, "^%s*(%S)")
    if first then
      self.is_json = first == "{"
      if self.is_json then self.scan:reset() end
    end
  end
  if self.event_bytes > LARGEST_EVENT and self.is_json then
    self:set("unread", "size")
    self.is_json, self.text = false, ""
  end
  if self.is_json then
    self.scan:feed(data)
  else
    self:take_text(data)
  end
end

-- Keeps the head of what is no JSON, without the space before it.
function Answer:take_text(text)
  if #self.text >= LONGEST_TEXT then return end
  if self.text == "" then
    local first = find(text, "%S")
    if not first then return end
    text = sub(text, first, first + LONGEST_TEXT - 1)
  end
  self.text = sub(self.text .. sub(text, 1, LONGEST_TEXT), 1, LONGEST_TEXT)
end

function Answer:end_answer()
  self.is_over = true
  self:set("final", true)
end

-- Takes over which choices a chunk has shown. `told`: it tells of usage.
function Answer:read_chunk(shown, told)
  if shown then
    self.choices = self.choices or no_choices()
    for index, has_finished in pairs(shown.finished) do note_choice(self.choices, index, has_finished) end
    self.choices.are_too_many = self.choices.are_too_many or shown.are_too_many
  end
  local choices = self.choices
  if self.is_over or not choices then return end
  -- What looked like the end was not if another choice has begun.
  if choices.running > 0 or choices.are_too_many then self:set("final", nil) elseif told then self:set("final", true) end
end

-- An event's object; returns the code if it is an error.
function Answer:read_object(found)
  local kind = type(found.type) == "string" and found.type or nil
  local code = error_in(found)
  if not code and self.name == "error" then code = code_of_all(found, kind) end
  local told = self:merge(found, true)
  self.has_failed = self.has_failed or self.report.stop == NETWORK_ERROR
  -- Where nothing was generated before, that is no end of an answer but an error like another.
  local failed = found.has_failed or word(found.stop) == NETWORK_ERROR
  if failed and not code and not self.report.begun then code = NETWORK_ERROR end
  local of_typed = is_typed(kind)
  if self.is_chat == nil and (found.has_choices or of_typed) then self.is_chat = found.has_choices or false end
  if not code and not FINAL[kind] and ((of_typed and not NOT_BEGUN[kind]) or found.has_choices) then self:set("begun", true) end
  if FINAL[kind] then self:end_answer() end
  if self.is_chat then self:read_chunk(found.choices, told) end
  return code
end

-- Counts the event that ends here. (One without data is no event to anybody, but its bytes are some of the answer's.)
function Answer:count_event(is_apart)
  if self.report.begun and not is_apart then
    if self.has_line then self.events = self.events + 1 end
  elseif self.has_data then
    self.apart = self.apart + self.event_bytes + 8 + (self.name ~= "" and #self.name + 8 or 0)
  end
end

function Answer:end_event()
  if not self.has_data then
    self:count_event(false)
    self:begin_event()
    return
  end
  local was_over, was_final = self.is_over, self.report.final
  local code
  if self.is_json and self.scan:is_complete() then
    code = self:read_object(self.scan.found)
  else
    local text = match(self.text, "^%s*(.-)%s*$")
    if text ~= "[DONE]" then code = code_in(text) elseif self.is_chat ~= false then self:end_answer() end
    if not code and self.name == "error" then code = code_of_error({}, {}, {}, { text }) end
  end
  if code and not was_final then self:note_error(code) end   -- behind the final event no client reads on, so none sees an error there
  if not self.report.first then self:set("first", code and "error" or "good") end
  self:count_event(self.is_over ~= was_over)
  if self.opening then
    self.opening = not (self.report.begun and (self.report.model or self.events >= LONGEST_OPENING))
  end
  self:begin_event()
end

function Answer:end_line(line)
  if line == "" then
    self:end_event()
    return
  end
  local field, value = match(line, "^([^:]*):? ?(.*)$")
  if field == "event" then self.name = value end
  if field == "data" then self:begin_data_line() end
end

function Answer:begin_data_line()
  if self.has_data then self:take_data("\n") end
  self.has_data = true
end

-- BARE JSON: a line that begins with a brace is no field of a stream. A gateway that loses its upstream in the middle of a stream may
-- write its error so. JSON of several lines goes on with lines that begin with one of these bytes.
local GOES_ON = { [32] = true, [9] = true, [34] = true, [44] = true, [91] = true, [93] = true, [123] = true, [125] = true }

-- Takes a part of a line; returns whether the line is bare JSON. `first` is its first byte, nil or false if that was taken before.
function Answer:take_bare(text, first)
  if first then
    local goes_on = self.has_open_bare and GOES_ON[first] or false
    self.is_bare = goes_on or first == 123
    if goes_on then
      self.bare:feed("\n")
    elseif self.is_bare then
      self.bare = (self.bare or json_scan.new(TOP)):reset()
    end
  end
  self.has_open_bare = false
  if not self.is_bare then return false end
  self.bare:feed(text)
  if self.bare:is_complete() then self:end_bare(self.bare.found) else self.has_open_bare = not self.bare:is_bad() end
  return true
end

function Answer:end_bare(found)
  local code = error_in(found)
  if not code then return end
  if not self.report.final then self:note_error(code) end
  if not self.report.first then self:set("first", "error") end
end

-- Takes the start of a line whose end is not here yet. Data is handed on at once; of anything else only the head is kept.
function Answer:take_open_line(text)
  if self.is_data then
    self:take_data(text)
    return
  end
  if self:take_bare(text, self.line == "" and not self.is_bare and byte(text)) then
    self.has_line = true
    return
  end
  local line = self.line .. text
  if #line > 6 and sub(line, 1, 5) == "data:" then
    self.line, self.is_data, self.has_line = "", true, true
    self:begin_data_line()
    self:take_data(sub(line, byte(line, 6) == 32 and 7 or 6))
  elseif #line <= LONGEST_TEXT or sub(line, 1, 5) == "data:" then
    self.line = line
  elseif self.line == "" or #self.line < LONGEST_TEXT then
    self.line = sub(line, 1, LONGEST_TEXT)
  end
end

function Answer:take_line(text)
  if self.is_data then
    self:take_data(text)
    self.is_data = false
  elseif self:take_bare(text, self.line == "" and not self.is_bare and byte(text)) then
    self.has_line, self.is_bare = true, false
  else
    local line = self.line .. text
    self.has_line = self.has_line or line ~= ""
    if sub(line, 1, 5) == "data:" then
      self:begin_data_line()
      self:take_data(sub(line, byte(line, 6) == 32 and 7 or 6))
    else
      self:end_line(line)
    end
  end
  self.line = ""
end

-- Where `ending`, the last part of a string with its closing quote, stands in the text; nil if nowhere. The string's opening quote
-- has to stand `before` bytes ahead of it: otherwise it would be the end of a longer string.
local function is_token(text, from, ending, before)
  local at = find(text, ending, from, true)
  while at do
    if at > before and byte(text, at - before) == 34 then return at end
    at = find(text, ending, at + 1, true)
  end
  return nil
end

-- Whether the key that ends before `i` has a value other than null: many servers send `"usage": null` with each event.
local function has_value(text, i)
  local c = byte(text, i)
  while c == 32 or c == 58 do
    i = i + 1
    c = byte(text, i)
  end
  return c ~= 110
end

local function is_told(text, from, key_and_quote)
  local at = find(text, key_and_quote, from, true)
  while at do
    if has_value(text, at + #key_and_quote) then return at end
    at = find(text, key_and_quote, at + 1, true)
  end
  return nil
end

-- Looks for the keys `usage` (with a value) and `message` at once, by the `ge"` in which both end: a g is rare.
local function has_usage_or_message(text, from)
  local at = find(text, 'ge"', from, true)
  while at do
    if at > 3 and byte(text, at - 1) == 97 and byte(text, at - 2) == 115 then
      local before = byte(text, at - 3)
      if before == 117 and has_value(text, at + 3) then return at end
      if before == 115 and at > 6 and sub(text, at - 6, at - 4) == '"me' then return at end
    end
    at = find(text, 'ge"', at + 3, true)
  end
  return nil
end

-- `response.completed` and `response.incomplete`.
local function is_complete_or_not(text, from)
  local at = find(text, "plete", from, true)
  while at do
    local behind = byte(text, at + 5)
    if behind == 34 or (behind == 100 and byte(text, at + 6) == 34) then return at end
    at = find(text, "plete", at + 5, true)
  end
  return nil
end

-- The word error (or errors) as a key or a type, or as an event's name; not in a sentence.
local function tells_of_error(text, from)
  local at = find(text, "rror", from, true)
  while at do
    local before = at > 2 and byte(text, at - 2) or 0
    if byte(text, at - 1) ~= 101 then
      before = 0
    elseif before == 34 then
      local behind = byte(text, at + 4)
      if behind == 34 or (behind == 115 and byte(text, at + 5) == 34) then return at end
    elseif (before == 32 or before == 58) and find(sub(text, at - 8 > 0 and at - 8 or 1, at - 2), "event:", 1, true) then
      return at
    end
    at = find(text, "rror", at + 4, true)
  end
  return nil
end

local function is_at_start_of_data(text, at)
  local i = at - 1
  local c = i > 0 and byte(text, i) or 10
  while c == 32 or c == 34 or c == 9 do
    i = i - 1
    c = i > 0 and byte(text, i) or 10
  end
  return c == 10 or c == 13 or (c == 58 and i > 4 and sub(text, i - 4, i) == "data:")
end

-- Data that begins with a bracket: `data: [DONE]`, `data: [1305][…`. Each chunk of Chat has one with a brace behind it.
local function begins_with_bracket(text, from)
  local at = find(text, "[", from, true)
  if at and byte(text, at + 1) == 123 then at = find(text, "[", at + 2, true) end   -- of one chunk that was all: no loop is cheaper
  while at do
    if byte(text, at + 1) ~= 123 and is_at_start_of_data(text, at) then return at end
    at = find(text, "[", at + 1, true)
  end
  return nil
end

-- A choice that is not the first. (Calls of tools are numbered under the same key: that they are read too costs little.)
local function tells_of_another_choice(text, from)
  local at = find(text, 'x"', from, true)
  while at do
    local i = at + 2
    local c = byte(text, i)
    while c == 58 or c == 32 do
      i = i + 1
      c = byte(text, i)
    end
    local behind = c == 48 and byte(text, i + 1)
    if behind ~= 44 and behind ~= 125 then return at end
    at = find(text, 'x"', i, true)
  end
  return nil
end

-- A letter, an underscore or a dot that is written as an escape, though JSON needs none there: the words may be in hiding.
local function has_needless_escape(text, from)
  local at = find(text, "\\u00", from, true)
  while at do
    local c = byte(text, at + 4)
    if c and ((c >= 52 and c <= 55) or (c == 50 and find(text, "^[eE]", at + 5))) then return at end
    at = find(text, "\\u00", at + 4, true)
  end
  return nil
end

-- Each event that matters has one of some words. A plain search jumps from one occurrence of a word's first letter to the next, so
-- the words are cut off in front, to begin with a letter that is rare in the events of the dialect. (Each is still a part of the whole
-- word, so nothing is missed in a stream of another dialect.)
local WORDS = { reason = 'reason"', stop = 'message_stop"', success = 'success"', skipped_of_success = 1 }
local WORDS_IN_CHAT = { reason = '_reason"', stop = '_stop"', success = 'uccess"', skipped_of_success = 2 }

local function may_matter(text, from, words, knows_model)
  return has_usage_or_message(text, from) or is_told(text, from, words.reason)
    or find(text, words.stop, from, true)
    or is_complete_or_not(text, from) or find(text, 'failed"', from, true)
    or is_token(text, from, words.success, words.skipped_of_success)
    or is_token(text, from, 'g"', 3) and is_token(text, from, 'msg"', 1)
    or tells_of_error(text, from) or begins_with_bracket(text, from)
    or (not knows_model and is_token(text, from, 'model"', 1))
    or has_needless_escape(text, from)
end

function Answer:may_matter(text, from)
  if not self.is_chat then return may_matter(text, from, WORDS, self.report.model ~= nil) end
  return not self.choices or self.choices.finished[0] == nil or tells_of_another_choice(text, from)
    or may_matter(text, from, WORDS_IN_CHAT, self.report.model ~= nil)
end

local function is_line_end(c)
  return c == 10 or c == 13
end

-- `from` is the start of an event. Returns where the event after the last complete one begins, and how many are complete.
local function last_boundary_of_any(text, from)
  local i, n, last, count = from, #text, from, 0
  local begins_line, has_line = true, false
  while i <= n do
    local c = byte(text, i)
    if not is_line_end(c) then
      begins_line, has_line = false, true
    else
      if c == 13 and byte(text, i + 1) == 10 then i = i + 1 end
      if begins_line then
        last, count = i + 1, count + (has_line and 1 or 0)
        has_line = false
      end
      begins_line = true
    end
    i = i + 1
  end
  return last, count
end

local function last_boundary(text, from)
  if find(text, "\r", from, true) then return last_boundary_of_any(text, from) end
  local i, count = from, 0
  local at = find(text, "\n\n", from, true)
  while at do
    if at > i then count = count + 1 end
    i = at + 2
    at = find(text, "\n\n", i, true)
  end
  return i, count
end

-- Reads on to the end of the text, or to the end of an event once whole events may be passed over.
function Answer:read_lines(text, i)
  local n = #text
  local lf, cr = find(text, "\n", i, true) or n + 1, find(text, "\r", i, true) or n + 1
  while i <= n do
    if lf < i then lf = find(text, "\n", i, true) or n + 1 end
    if cr < i then cr = find(text, "\r", i, true) or n + 1 end
    local at = lf < cr and lf or cr
    if at > n then
      self:take_open_line(sub(text, i))
      return n + 1
    end
    local line_is_empty = at == i and self.line == "" and not self.is_data and not self.is_bare
    self:take_line(sub(text, i, at - 1))
    if at == cr then
      if at == n then self.after_cr = true elseif byte(text, at + 1) == 10 then at = at + 1 end
    end
    i = at + 1
    if line_is_empty and not self.opening then return i end
  end
  return i
end

function Answer:is_between_events()
  return not self.has_line and self.line == ""
end

-- An answer that begins like this is a stream of events, and one that begins with a brace is JSON, whatever its head calls it.
local FIRST_LINES = { "data:", "event:", ":", "id:", "retry:" }

-- The kind of an answer that begins with `text` and was told to be `told`; nil if more bytes are needed to know.
local function kind_of(text, told)
  if byte(text) == 123 then return "json" end
  if told == "events" then return told end
  local is_open = false
  for n = 1, #FIRST_LINES do
    local field = FIRST_LINES[n]
    if sub(text, 1, #field) == field then return "events" end
    is_open = is_open or sub(field, 1, #text) == text
  end
  return not is_open and told or nil
end

-- Takes the first bytes and finds out of which kind the answer is. Returns its text without a byte-order mark and without space at
-- its beginning; nil while the kind is not known.
function Answer:take_head(text)
  text = (self.head or "") .. text
  local mark = "\239\187\191"
  if #text < 3 and text == sub(mark, 1, #text) then
    self.head = text
    return nil
  end
  if sub(text, 1, 3) == mark then text = sub(text, 4) end
  local told = self.report.kind
  local first = find(text, "%S")
  if told == "json" then self:feed_json(sub(text, 1, (first or #text + 1) - 1)) end   -- not every space is one in JSON
  self.head = " "   -- behind space no mark is one
  if not first then return nil end
  text = sub(text, first)
  local kind = kind_of(text, told)
  if not kind then
    self.head = text
    return nil
  end
  self:end_head(kind)
  return text
end

function Answer:end_head(kind)
  self.has_head = true
  if kind == self.report.kind then return end
  self:set("kind", kind)
  if kind == "events" then self:begin_stream() else self.text, self.events = "", nil end
end

-- FRAMES. Most events bring nothing but a little more text, and are the same as the event before but for that text. What stands around
-- it is the frame: `opens` is all up to the quote before the text, `closes` the quote behind it and the rest of the event. An event in
-- the frame of one that did not matter does not matter either, whatever its text is: no value of these keys does. So it is passed over.
local TEXT_KEYS = { '"text" ?: ?"', '"thinking" ?: ?"', '"partial_json" ?: ?"', '"content" ?: ?"', '"reasoning_content" ?: ?"',
  '"arguments" ?: ?"', '"delta" ?: ?"' }
local MOST_FRAMES = 64   -- so many frames are learned of an answer; where events differ in more than a text, it is given up then

function Answer:learn_frame(event)
  if self.frames == MOST_FRAMES or (self.opens and sub(event, 1, #self.opens) == self.opens) or find(event, "\r", 1, true) then return end
  self.frames = self.frames + 1
  for n = 1, #TEXT_KEYS do
    local _, opening = find(event, TEXT_KEYS[n])
    local closing = opening and find(event, '"', opening + 1, true)
    if closing and byte(event, closing - 1) ~= 92 then
      self.opens, self.closes = sub(event, 1, opening), sub(event, closing)
      self.line_end = find(self.closes, "\n", 1, true) - 1
      return
    end
  end
end

-- `from` is the start of an event. Returns where the first event begins that is not in the frame, or not complete, and how many are before
-- it. Between the frame's two parts no quote may stand and no line end.
function Answer:pass_over_frames(text, from)
  local opens, closes = self.opens, self.closes
  if not opens or find(text, "\r", from, true) then return from, 0 end
  local i, opening, closing, line_end, count = from, #opens, #closes, self.line_end, 0
  while sub(text, i, i + opening - 1) == opens do
    local behind = i + opening
    local quote = find(text, '"', behind, true)
    if not quote or byte(text, quote - 1) == 92 or sub(text, quote, quote + closing - 1) ~= closes
      or find(text, "\n", behind, true) ~= quote + line_end then break end
    i, count = quote + closing, count + 1
  end
  return i, count
end

function Answer:feed_events(text)
  local i = 1
  if self.after_cr then
    self.after_cr = false
    if byte(text, 1) == 10 then i = 2 end
  end
  local n = #text
  local is_dull = nil   -- whether nothing in the rest of this piece may matter
  while i <= n do
    if not self.opening and self:is_between_events() then
      local count
      if is_dull == nil then
        i, count = self:pass_over_frames(text, i)
        self.events = self.events + count
        if i > n then return end
        is_dull = not self:may_matter(text, i)
      end
      if is_dull then
        local from = i
        i, count = last_boundary(text, i)
        self.events = self.events + count
        if from == 1 and i > n and count == 1 then self:learn_frame(text) end
        if byte(text, n) == 13 and i > n then self.after_cr = true end
      end
    end
    if i <= n then i = self:read_lines(text, i) end
  end
end

-- JSON AND TEXT ------------------------------------------------------------------------------------------------------------

-- Whether something generated stands in what has been found. Then the answer had begun, whatever is said further on.
local function has_content(found)
  return found.has_choices or found.has_content
end

function Answer:feed_json(text)
  self:take_text(text)
  if self.report.kind ~= "json" or self.report.final then return end
  local scan = self.scan
  scan:feed(text)
  if has_content(scan.found) then
    self:set("begun", true)
    self:set("first", "good")
  end
  local is_whole = scan:is_complete() and byte(self.text) == 123
  if is_whole then self:end_json(scan.found) else self:merge(scan.found, false) end
end

-- JSON that is no error need not be a model's answer: without content and without usage nothing was generated.
function Answer:end_json(found)
  local told = self:merge(found, true)
  local code = error_in(found) or code_in(found.text)
  if code then self:note_error(code) end
  local is_answer = found.has_answer or told
  self:set("begun", has_content(found) or (is_answer and not code) or nil)
  self:set("final", true)
  if not self.report.first then self:set("first", code and "error" or "good") end
end

function Answer:feed_body(text)
  if self.report.kind == "events" then self:feed_events(text) else self:feed_json(text) end
end

-- Whether the number of events, or their bytes beyond the frames, has grown by a quarter since this was last true.
function Answer:has_grown()
  local events = self.events
  if not events or events == 0 then return false end
  local inside = self.bytes - self.apart - FRAME * events
  if events < self.next_events and inside < self.next_inside then return false end
  self.next_events, self.next_inside = events * 1.25, inside > 0 and inside * 1.25 or 1
  return true
end

-- Takes the next piece. Returns true if the report has changed, if nobody has been told of it yet, or if the answer has grown so
-- much that its size may be told anew.
function Answer:feed(text)
  self.has_changed, self.is_untold = self.is_untold, false
  self.bytes = self.bytes + #text
  if not self.has_head then text = self:take_head(text) end
  if text and text ~= "" then self:feed_body(text) end
  return self.has_changed or self:has_grown()
end

-- The name of an error of which only the front is here yet; nil if that does not tell.
function Answer:code_so_far()
  local code = self.report.kind == "json" and (error_in(self.scan.found) or code_in(self.text)) or nil
  return code ~= "unknown" and code or nil
end

-- The answer has ended; true if the report has changed. An event without the blank line behind it counts too.
function Answer:finish()
  self.has_changed, self.is_untold = self.is_untold, false
  local report = self.report
  if not self.has_head and self.head and find(self.head, "^%l") then self:feed_body(self.head) end   -- "dat" is no line of a stream
  if self.bytes == 0 then
    self:set("kind", "empty")
  elseif report.kind == "events" then
    if self.line ~= "" or self.is_data then self:take_line("") end
    self:end_event()
  elseif not report.final then
    self.scan:finish()
    local is_text = report.kind == "text" or byte(self.text) == 91   -- `[1305][…` begins like an array
    local code = is_text and code_in(self.text) or nil
    if report.kind == "json" and self.scan:is_complete() and not code then
      self:end_json(self.scan.found)
    else
      if code then self:note_error(code) end
      if report.kind == "json" and not code and self.scan:is_bad() then self:set("unread", "json") end
      if not report.first then self:set("first", code and "error" or "good") end
    end
  end
  return self.has_changed or self.events ~= nil
end

return { new = new }
