-- EVERY ATTEMPT, on its way up and on its way back, before the router decides on a retry.
--
-- On its way up a retry waits for its turn like a request; where nothing answers there is no retry. On its way back the answer is read
-- (answer.lua) into the metadata of the log entry as it passes, so what it told is there whatever ends it. What is short and says how long
-- it is (an error, JSON of a few hundred bytes) is read whole before its head goes on, since its head has to tell the router whether
-- trying again can help: the status does not (429 is "slow down" or "your week is used up"), the business code in the body does. All
-- else is read in passing; the head of what could still turn out to be an error, and of an error that may be open for long, is marked
-- for the first-event guard.
--
-- Envoy has one number of tries, and that is the larger one, for a paced request that the plan's limits refuse: it waits for its turn in
-- between. How often a request failed for another reason is counted here.

local TRANSIENT = ${TRANSIENT_CODES}
local OF_LIMITS = ${LIMITS_CODES}
local MAX_RETRIES = ${MAX_RETRIES}
local MOST_TRIES_AGAIN = ${MOST_TRIES_AGAIN}
local LONGEST_TURN = ${MESSAGE_TIMEOUT_MS}
local LARGEST_ERROR = 65536        -- a larger one, read as a whole, would become a 500 of Envoy's own
local LARGEST_HIDDEN_ERROR = 2048  -- Z.AI sometimes says 200 and means an error
local LARGEST_PIECE = 32768        -- for a string of 128 KiB or more LuaJIT would ask the system for memory each time
local GUARD_PATIENCE = 1000        -- ms in which the processor has to take in what it is told; nobody waits for its answer
local LONG_SILENCE = ${LONG_SILENCE_MS}
local NO_CONNECTION = ${NO_CONNECTION}
local NOTHING_ANSWERS = ${NOTHING_ANSWERS}   -- with a place for the seconds
-- How long a refusal that passes by itself may make a client pause, in the header's own unit.
local LONGEST_PAUSE = { ["retry-after"] = 60, ["retry-after-ms"] = 60000 }
local SHORTEST_WAIT = ${SHORTEST_WAIT}   -- seconds after which a client may come back that is refused, where nobody knows better

local function note(handle, report)
  if report.begun and not report.begun_at then report.begun_at = tonumber(handle:timestamp()) end   -- ms since 1970
  -- The metadata object does not outlive a piece: it is asked for each time.
  handle:streamInfo():dynamicMetadata():set("zai.answer", "read", report)
end

local function note_read(handle, reader)
  local report = reader.report
  if reader.events then
    report.events, report.bytes, report.apart = reader.events, reader.bytes - reader.apart, reader.apart
  end
  note(handle, report)
end

-- For how many ms the attempt before this one has waited for a connection in vain; nil if there was an answer, or if its connection was
-- lost before its turn came.
local function silence_before(handle, metadata)
  local noted = metadata:get("zai.answer")
  if not noted or (noted.began or 0) == 0 or (noted.read and next(noted.read)) then return nil end
  return tonumber(handle:timestamp()) - noted.began
end

-- A retry waits until the processor answers, once there is a place. Where it is not there, or says nothing for too long, it goes on.
-- Returns after how many seconds the client may come back if this try is refused too; nil if nobody knows.
local function await_turn(handle, id)
  local _, message = handle:httpCall("extproc", {
    [":method"] = "POST", [":path"] = "/zai.proxy.Turns/Await", [":authority"] = "extproc",
    ["content-type"] = "application/grpc", ["te"] = "trailers", ["x-exchange"] = id,
  }, "\0\0\0\0\0", LONGEST_TURN)
  return tonumber(message and message:match("^%z....(%d+)$"))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local attempt = tonumber(headers:get("x-envoy-attempt-count") or "1")
  headers:remove("x-envoy-attempt-count")
  local metadata = handle:streamInfo():dynamicMetadata()
  if attempt > 1 then
    local silence = silence_before(handle, metadata)
    if silence and silence >= LONG_SILENCE then
      -- Whatever says nothing would most likely say nothing again, and each further try would wait as long.
      handle:respond({ [":status"] = "503" }, string.format(NOTHING_ANSWERS, silence / 1000))
      return
    end
    local noted, decided = metadata:get("zai.answer") or {}, metadata:get("zai")
    local failed = (noted.failed or 0) + (noted.of_limits and 0 or 1)
    if failed > MAX_RETRIES then
      -- The processor, which has heard why, ends such a request at once; this is for when it is slower than the pause, or away.
      metadata:set("zai.answer", "why", "connection_failure")
      handle:respond({ [":status"] = "503" }, NO_CONNECTION)
      return
    end
    metadata:set("zai.answer", "failed", failed)
    metadata:set("zai.answer", "of_limits", false)
    metadata:set("zai.answer", "read", {})   -- what the attempt before said is in its own log entry
    metadata:set("zai.answer", "attempt", attempt)
    metadata:set("zai.answer", "began", 0)
    local wait = decided and decided.id and await_turn(handle, decided.id)
    -- The metadata object does not outlive the call above.
    handle:streamInfo():dynamicMetadata():set("zai.answer", "wait", wait or 0)
  end
  -- From here on it waits for nothing but a connection.
  handle:streamInfo():dynamicMetadata():set("zai.answer", "began", tonumber(handle:timestamp()))
end

local function read_piece(reader, piece)
  local length, has_changed = piece:length(), false
  for from = 0, length - 1, LARGEST_PIECE do
    has_changed = reader:feed(piece:getBytes(from, math.min(LARGEST_PIECE, length - from))) or has_changed
  end
  return has_changed
end

-- Removes what is right only where the plan is used up. A pause above a minute ends a turn of Claude Code at once, and other clients
-- sleep as long as they are told. A pause that ends at a date is removed too: nobody here knows how long that is.
local function remove_misleading(headers)
  local misleading = {}
  for name, value in pairs(headers) do
    local longest = LONGEST_PAUSE[name]
    local told = value:find("^%d+%.?%d*$") and tonumber(value)
    local is_long = longest and not (told and told <= longest)
    if is_long or name:find("anthropic-ratelimit-unified", 1, true) == 1 then misleading[#misleading + 1] = name end
  end
  for _, name in ipairs(misleading) do headers:remove(name) end
end

-- Whether an attempt that failed with a code is to be made again. What the plan's limits refuse is no failure of a request that waits for
-- its turn; without the processor nothing does.
local function goes_again(handle, code)
  if not TRANSIENT[code] then return false end
  local metadata = handle:streamInfo():dynamicMetadata()
  local noted, decided = metadata:get("zai.answer") or {}, metadata:get("zai") or {}
  local attempt = noted.attempt or 1
  local is_paced = attempt == 1 and decided.paced or (noted.wait or 0) > 0
  if OF_LIMITS[code] and is_paced then
    metadata:set("zai.answer", "of_limits", true)
    return attempt <= MOST_TRIES_AGAIN
  end
  return (noted.failed or 0) < MAX_RETRIES
end

-- What an error is known by goes into its head, for the router and for the attempt's log entry. None of it reaches the client.
local function mark_failed(handle, headers, code)
  local decided = handle:streamInfo():dynamicMetadata():get("zai")
  if decided and decided.id then headers:add("x-zai-exchange", decided.id) end
  if not code then return end
  headers:add("x-zai-code", code)
  if TRANSIENT[code] then
    if goes_again(handle, code) then headers:add("x-zai-transient", "1") end
    remove_misleading(headers)
    -- Envoy makes a retry-after of this on the way to the client. Here the router, which may try again, would wait as long itself.
    local noted = handle:streamInfo():dynamicMetadata():get("zai.answer")
    local wait = math.max(SHORTEST_WAIT, math.min(noted and noted.wait or 0, LONGEST_PAUSE["retry-after"]))
    headers:add("x-zai-wait", string.format("%d", wait))
    return
  end
  -- Clients try a 429 again for minutes. One with a code of Z.AI's ("quota used up", "no balance") stays as it is; of any other
  -- nobody here knows better than they do.
  local status = headers:get(":status")
  local is_certain = status == "401" or (status == "429" and code:find("^%d%d%d%d$"))
  if is_certain and not headers:get("x-should-retry") then headers:add("x-should-retry", "false") end
end

-- What to name this attempt by when the guard is told of its first event; nil if no head waits for that. Heads wait where a model
-- answers, which only the processor knows, and where the answer is an error.
local function holder_of(handle, is_error)
  local decided = handle:streamInfo():dynamicMetadata():get("zai")
  if not decided or not decided.id or not (is_error or decided.guard) then return nil end
  local noted = handle:streamInfo():dynamicMetadata():get("zai.answer")
  return { id = decided.id, attempt = string.format("%d", noted and noted.attempt or 1) }
end

-- Tells the guard, where the answer's head waits, what the first event of the answer is. `text` is the error as it came, empty if it is
-- none. `status` is given only if the head itself says that this is an error; then an empty text means that nobody knows where the
-- body ends.
local function tell_guard(handle, guarded, code, text, status)
  local size = #text
  local frame = string.char(0, 0, math.floor(size / 65536), math.floor(size / 256) % 256, size % 256)
  handle:httpCall("extproc", {
    [":method"] = "POST", [":path"] = "/zai.proxy.Guard/FirstEvent", [":authority"] = "extproc",
    ["content-type"] = "application/grpc", ["te"] = "trailers",
    ["x-exchange"] = guarded.id, ["x-attempt"] = guarded.attempt, ["x-code"] = code or "", ["x-status"] = status or "",
    ["x-goes-again"] = code and goes_again(handle, code) and "1" or "",
  }, frame .. text, GUARD_PATIENCE, true)
end

-- Reads a short answer as a whole before its head goes on. The guard is also told of an error in an answer of status 200: if no retry
-- helps, it gives the client the status that such an error has elsewhere.
local function read_whole(handle, kind, is_error)
  local buffer = handle:body()
  local headers = handle:headers()   -- whoever asked before body() holds an object that can't be used any more
  local code, text
  if buffer and buffer:length() > 0 then
    text = buffer:getBytes(0, math.min(buffer:length(), LARGEST_ERROR))
    local reader = answer.new(is_error and "json" or kind)   -- the head of an error need not say what its body is
    reader:feed(text)
    reader:finish()
    code = reader.report.code
    note_read(handle, reader)
  else
    note(handle, { kind = "empty" })
  end
  if code or is_error then mark_failed(handle, headers, code) end
  local guarded = code and not is_error and holder_of(handle)
  if guarded then
    headers:add("x-zai-guard", "1")
    tell_guard(handle, guarded, code, text)
  end
end

local function opened(opening, piece)
  local room = math.min(piece:length(), LARGEST_ERROR - #opening)
  return room > 0 and opening .. piece:getBytes(0, room) or opening
end

-- `guarded` is who waits for the first event, nil if nobody does.
local function read_in_passing(handle, kind, guarded)
  local reader = answer.new(kind)
  local opening = guarded and ""
  local function tell(has_changed)
    local report = reader.report
    if has_changed then
      if report.code then report.late = true end
      note_read(handle, reader)
    end
    if opening and report.first then
      tell_guard(handle, guarded, report.first == "error" and report.code, report.first == "error" and opening or "")
      opening = nil
    end
  end
  for piece in handle:bodyChunks() do
    if opening then opening = opened(opening, piece) end
    tell(read_piece(reader, piece))
  end
  tell(reader:finish())
  if opening then tell_guard(handle, guarded, nil, "") end   -- the answer had no event at all
end

-- Reads an error that is long or does not say how long it is. `guarded` waits for what it is, nil if nobody does. That is known once
-- its object or its first event is here. Of a long one the front has to do, and it ends when the upstream ends it.
local function read_error_in_passing(handle, status, guarded)
  local reader = answer.new("json")
  local opening = guarded and ""
  local function tell(has_changed, has_ended)
    local report = reader.report
    if has_changed then note_read(handle, reader) end
    if not opening then return end
    local is_known = report.final or (report.kind == "events" and report.first)
    local is_long = #opening == LARGEST_ERROR
    if is_known or is_long or has_ended then
      tell_guard(handle, guarded, report.code or reader:code_so_far(), is_known and not is_long and opening or "", status)
      opening = nil
    end
  end
  for piece in handle:bodyChunks() do
    if opening then opening = opened(opening, piece) end
    tell(read_piece(reader, piece), false)
  end
  tell(reader:finish(), true)
end

-- Whether the request asks for something that was made before, such as a file or a finished job: an error that stands in it is none of
-- this request's.
local function is_stored(handle)
  local decided = handle:streamInfo():dynamicMetadata():get("zai")
  return decided and decided.stored
end

local function kind_of(content_type)
  if content_type == "" or content_type:find("^text/event%-stream") then return "events" end
  if content_type:find("json", 1, true) then return "json" end
  if content_type:find("^text/plain") then return "plain" end
  return content_type:find("^text/") and "text" or "other"
end

function envoy_on_response(handle)
  local headers = handle:headers()
  for _, name in ipairs({ "x-zai-code", "x-zai-transient", "x-zai-exchange", "x-zai-retry-after", "x-zai-guard", "x-zai-wait", "x-zai-end" }) do
    headers:remove(name)   -- nobody upstream speaks for this filter
  end
  local retry_after = headers:get("retry-after")
  if retry_after then headers:add("x-zai-retry-after", retry_after) end   -- for the log, as the original may be removed below
  local is_error = tonumber(headers:get(":status")) >= 400
  local length = tonumber(headers:get("content-length") or "")
  local content_type = (headers:get("content-type") or ""):lower()
  local kind = kind_of(content_type)
  local encoding = (headers:get("content-encoding") or ""):lower()
  if not is_error and is_stored(handle) then
    note(handle, { kind = kind })
  elseif encoding ~= "" and encoding ~= "identity" then
    local is_page = kind ~= "events" and kind ~= "json"
    note(handle, { kind = kind, unread = not is_page and "encoding" or nil })
    if is_error then mark_failed(handle, headers, nil) end
  elseif length == 0 then
    note(handle, { kind = "empty" })
    if is_error then mark_failed(handle, headers, nil) end
  elseif is_error then
    -- A page of the WAF may be read if its length is known.
    local is_page = kind == "other" or content_type:find("html", 1, true)
    local is_long = length and length > LARGEST_ERROR
    local guarded = (is_long or not length) and not is_page and holder_of(handle, true) or nil
    if is_page and (is_long or not length) then
      mark_failed(handle, headers, nil)
    elseif guarded or is_long then
      mark_failed(handle, headers, nil)
      if guarded then headers:add("x-zai-guard", "1") end
      read_error_in_passing(handle, headers:get(":status"), guarded)
    else
      read_whole(handle, kind, true)
    end
  elseif length and length <= LARGEST_HIDDEN_ERROR and (kind == "json" or kind == "text" or kind == "plain") then
    read_whole(handle, kind, false)
  elseif kind == "events" or kind == "json" or kind == "plain" then
    local guarded = (kind ~= "json" or not length) and holder_of(handle) or nil
    if guarded then headers:add("x-zai-guard", "1") end
    read_in_passing(handle, kind, guarded)
  else
    note(handle, { kind = kind })
  end
end
