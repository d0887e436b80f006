-- WHAT A REQUEST ASKS FOR: `model`, `stream` and the most tokens, wherever they stand at the top of its JSON. Never a `model` in
-- a message or in the schema of a tool: the scan knows its depth. Stops as soon as it has all three.

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

local Request = {}
Request.__index = Request

local function new()
  return setmetatable({ scan = json_scan.new(TOP), report = {} }, Request)
end

-- Takes the next piece; true once nothing more is wanted.
function Request:feed(text)
  self.scan:feed(text)
  local found = self.scan.found
  self.has_all = found.model ~= nil and found.stream ~= nil and found.max_tokens ~= nil
  return self.has_all
end

-- All has been fed that is going to be: `report` is what was found; `unread` says that it was no JSON object.
function Request:finish()
  local found, report = self.scan.found, self.report
  if not self.has_all and not (self.scan:is_complete() and found.is_object) then
    report.unread = "json"
    return
  end
  -- What is no plain letter would have to be valid UTF-8 all the way to the log.
  if type(found.model) == "string" then report.model = found.model:sub(1, LONGEST_MODEL):gsub("[^\33-\126]", "_") end
  if type(found.stream) == "boolean" then report.stream = found.stream end
  report.max_tokens = found.max_tokens
end

return { new = new }
