-- THE CACHE DOCTOR: tells the processor the parts of an admitted prompt, as hashes (prompt.lua). It is made only for prompts that
-- the processor wants to know of: those of conversations that get too little from the cache. Their bodies have been read for the
-- model's name, so the whole body is here.

local SALT = ${PROMPT_SALT}   -- nil with CACHE_DOCTOR=off, and then no route switches this filter on

function envoy_on_request(handle)
  local body = handle:body()
  if not body then return end
  local function bytes(from, length)
    return body:getBytes(from, length)
  end
  local parts = prompt.read(body:length(), bytes, SALT)
  handle:streamInfo():dynamicMetadata():set("zai.prompt", "parts", parts)
end
