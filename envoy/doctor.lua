-- THE CACHE DOCTOR: which parts an admitted prompt has, as hashes (prompt.lua). Of most nobody has to know, and the processor says of
-- which: of those whose conversation gets too little from the cache. They have been read for their model, so the whole body is here.

local SALT = ${PROMPT_SALT}   -- nil with CACHE_DOCTOR=off, and then no route switches this filter on

function envoy_on_request(handle)
  local decided = handle:streamInfo():dynamicMetadata():get("zai")
  if not decided or not decided.parts then return end
  local body = handle:body()
  if not body then return end
  local function bytes(from, length)
    return body:getBytes(from, length)
  end
  local parts = prompt.read(body:length(), bytes, SALT)
  handle:streamInfo():dynamicMetadata():set("zai.prompt", "parts", parts)
end
