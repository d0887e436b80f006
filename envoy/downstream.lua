-- THE REQUEST'S MODEL, read before the processor is asked (request.lua). The head waits for the body meanwhile, which costs nothing:
-- upstream needs both before it can answer. Routes switch this filter on, and only for JSON of known length that can be sent again.
--
-- Callers are not authenticated yet, so each of Envoy's threads holds only so many bytes for this. While that bound is reached,
-- further requests go on unread: strangers who announce much and send nothing must not shut out anybody. Envoy's overload manager
-- would not do: in 1.40 it does not see what a stream of HTTP/1.1 holds.

local MOST_HELD_OF_LARGE, LARGE = ${LARGEST_HELD}, 1048576
local MOST_HELD = MOST_HELD_OF_LARGE * 1.25   -- the large ones leave room for others
local HEAD, TAILS = 16384, { 8192, 98304 }   -- the ends that are read first; the longer tail is for tools that stand behind the model

local held = 0
local collected_at = 0

-- Books bytes until `give_back`, or until Lua finds that a client has left and nothing waits for its body any more.
local function take(bytes)
  local lease = { bytes = bytes, proxy = newproxy(true) }
  held = held + bytes
  getmetatable(lease.proxy).__gc = function()
    held = held - bytes
  end
  return lease
end

local function give_back(lease)
  getmetatable(lease.proxy).__gc = nil
  held = held - lease.bytes
end

local function has_room_for(bytes)
  local most = bytes > LARGE and MOST_HELD_OF_LARGE or MOST_HELD
  if held + bytes > most and os.time() ~= collected_at then
    collected_at = os.time()
    collectgarbage()
  end
  return held + bytes <= most
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local length = tonumber(headers:get("content-length"))
  if headers:get("content-encoding") or not has_room_for(length) then return end
  local lease = take(length)
  local body = handle:body()
  if body then
    local function bytes(from, length)
      return body:getBytes(from, length)
    end
    local report = request.read(body:length(), bytes, HEAD, TAILS)
    handle:streamInfo():dynamicMetadata():set("zai.request", "body", report)
  end
  give_back(lease)
end
