-- READING JSON AS IT PASSES, in one pass over a text that comes in pieces of any size. Nothing of it is kept but the few values that
-- were asked for. Whoever asks describes them as a tree of nodes; a node is a table of
--
--   fields     of an object: a node for each key that matters
--   items      of an array: the node of each item
--   keep       a string, number or boolean that stands here is kept under this name: the last one, but no null and no ""
--   text       the same for a string alone
--   count      the same for a number of tokens: the last positive whole one
--   told       kept as true under this name if there is a number, be it 0
--   is_object, is_array, has_items    kept as true under this name if that is what stands here
--   at_end     of an object or array: called with all that has been kept, once it ends
--
-- What has no node is passed over without being looked at: its brackets are counted, its strings skipped from quote to quote.
-- So depth costs nothing and has no bound, and what is passed over is not checked; a text that balances may still be no JSON.
--
-- LuaJIT compiles string.byte and a plain string.find, but no patterns: the loops over bytes use only those two.

local byte, find, sub, match, tonumber = string.byte, string.find, string.sub, string.match, tonumber

local LONGEST_KEY = 64
local LONGEST_STRING = 1024
local LONGEST_SCALAR = 64
local LARGEST_COUNT = 2 ^ 53

-- What may come next.
local VALUE, VALUE_OR_END, KEY, KEY_OR_END, COLON, COMMA, END = 1, 2, 3, 4, 5, 6, 7
-- What the piece before has left open: a string, a number or literal, a container that is passed over.
local IN_STRING, IN_SCALAR, IN_SKIPPED = 8, 9, 10
local BAD = 11

local SPACE = { [32] = true, [9] = true, [10] = true, [13] = true }
local BYTE_ORDER_MARK = { [239] = true, [187] = true, [191] = true }
local OPENS = { [123] = true, [91] = true }
local CLOSES = { [125] = true, [93] = true }
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local Scan = {}
Scan.__index = Scan

local function new(root)
  return setmetatable({ root = root, nodes = {}, objects = {} }, Scan):reset()
end

-- Begins anew. `found` is a fresh table of the values that were kept, by their names.
function Scan:reset()
  self.state, self.depth, self.found = VALUE, 0, {}
  self.node, self.text, self.size, self.escaped, self.is_key = self.root, "", 0, false, false
  return self
end

-- Whether the value is complete. What comes behind it is never looked at.
function Scan:is_complete()
  return self.state == END
end

function Scan:is_bad()
  return self.state == BAD
end

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
    0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

-- A pair of surrogates comes out as two characters of three bytes, and is joined to one of four.
local function unescaped(raw)
  if not find(raw, "\\", 1, true) then return raw end
  local text = raw:gsub("\\(.)(%x?%x?%x?%x?)", function(letter, digits)
    if letter == "u" then return #digits == 4 and utf8(tonumber(digits, 16)) or "" end
    return (ESCAPES[letter] or letter) .. digits
  end)
  return (text:gsub("\237([\160-\175])([\128-\191])\237([\176-\191])([\128-\191])", function(a, b, c, d)
    local high = (byte(a) - 160) * 64 + byte(b) - 128
    return utf8(0x10000 + high * 1024 + (byte(c) - 176) * 64 + byte(d) - 128)
  end))
end

local function keep(self, node, value)
  if not node then return end
  if node.keep and value ~= "" then self.found[node.keep] = value end
  if node.text and value ~= "" and type(value) == "string" then self.found[node.text] = value end
  if node.count and type(value) == "number" and value > 0 and value < LARGEST_COUNT and value % 1 == 0 then
    self.found[node.count] = value
  end
  if node.told and type(value) == "number" and value >= 0 then self.found[node.told] = true end
end

local function after_value(self)
  self.state = self.depth == 0 and END or COMMA
end

-- The index behind the string's closing quote, or nil if the piece ends before it. A quote closes unless an odd number of
-- backslashes stands before it; what stands before `i` is settled.
local function end_of_string(self, text, i)
  if self.escaped then
    self.escaped = false
    i = i + 1
  end
  while true do
    local quote = find(text, '"', i, true)
    local last = (quote or #text + 1) - 1
    local before = last
    while before >= i and byte(text, before) == 92 do before = before - 1 end
    local is_escaped = (last - before) % 2 == 1
    if not quote then
      self.escaped = is_escaped
      return nil
    end
    if not is_escaped then return quote + 1 end
    i = quote + 1
  end
end

local function pass_string(self, text, i, longest)
  local behind = end_of_string(self, text, i)
  if self.size < longest then
    local last = behind and behind - 2 or #text
    local part = sub(text, i, math.min(last, i + longest - self.size - 1))
    self.text = self.size == 0 and part or self.text .. part
    self.size = self.size + #part
  end
  return behind
end

-- Passes over a container that nobody asked for. Meanwhile `self.skipped` is how deep in it the scan is, and `self.size` is 1 within
-- one of its strings.
local function pass_skipped(self, text, i)
  local n, depth = #text, self.skipped
  if self.size == 1 then
    i = end_of_string(self, text, i)
    if not i then return nil end
    self.size = 0
  end
  while i <= n do
    local c = byte(text, i)
    if c == 34 then
      local behind = end_of_string(self, text, i + 1)
      if not behind then
        self.size, self.skipped = 1, depth
        return nil
      end
      i = behind - 1
    elseif c == 123 or c == 91 then
      depth = depth + 1
    elseif c == 125 or c == 93 then
      depth = depth - 1
      if depth == 0 then return i + 1 end
    end
    i = i + 1
  end
  self.skipped = depth
  return nil
end

local function end_scalar(self)
  local text = self.text
  local value
  if text == "true" then value = true
  elseif text == "false" then value = false
  elseif text ~= "null" then
    local is_number = match(text, "^%-?%d+%.?%d*$") or match(text, "^%-?%d+%.?%d*[eE][+-]?%d+$")
    if not is_number or match(text, "^%-?0%d") or match(text, "%.$") or match(text, "%.[eE]") then
      self.state = BAD
      return
    end
    value = tonumber(text)
  end
  if value ~= nil then keep(self, self.node, value) end
  after_value(self)
end

local function pass_scalar(self, text, i)
  local n, from = #text, i
  while i <= n do
    local c = byte(text, i)
    if SPACE[c] or c == 44 or CLOSES[c] then break end
    i = i + 1
  end
  if self.size < LONGEST_SCALAR then
    self.text = self.text .. sub(text, from, i - 1)
    self.size = #self.text
  end
  if i > n then return nil end
  end_scalar(self)
  return i
end

local function begin_string(self, is_key)
  self.state, self.is_key, self.text, self.size = IN_STRING, is_key, "", 0
end

local function end_string(self)
  if not self.is_key then
    if self.node then keep(self, self.node, unescaped(self.text)) end
    after_value(self)
    return
  end
  local fields = self.nodes[self.depth].fields
  self.node = self.size <= LONGEST_KEY and fields[unescaped(self.text)] or nil
  self.state = COLON
end

local function begin_container(self, is_object)
  local node = self.node
  if node then
    local name = is_object and node.is_object or not is_object and node.is_array
    if name then self.found[name] = true end
  end
  local inside = node and (is_object and node.fields or not is_object and (node.items or node.has_items))
  if not inside then
    self.state, self.skipped, self.size = IN_SKIPPED, 1, 0
    return
  end
  self.depth = self.depth + 1
  self.nodes[self.depth], self.objects[self.depth] = node, is_object
  self.state = is_object and KEY_OR_END or VALUE_OR_END
end

local function begin_value(self, c)
  if self.depth > 0 and not self.objects[self.depth] then
    local parent = self.nodes[self.depth]
    if parent.has_items then self.found[parent.has_items] = true end
    self.node = parent.items
  end
  if c == 34 then begin_string(self, false)
  elseif OPENS[c] then begin_container(self, c == 123)
  elseif c == 44 or c == 58 or CLOSES[c] then self.state = BAD
  else self.state, self.text, self.size = IN_SCALAR, "", 0 end
end

local function end_container(self, c)
  if self.objects[self.depth] ~= (c == 125) then
    self.state = BAD
    return
  end
  local at_end = self.nodes[self.depth].at_end
  if at_end then at_end(self.found) end
  self.depth = self.depth - 1
  after_value(self)
end

-- Takes the next piece.
function Scan:feed(text)
  local i, n = 1, #text
  while i <= n do
    local state = self.state
    if state == IN_STRING then
      i = pass_string(self, text, i, self.is_key and LONGEST_KEY + 1 or self.node and LONGEST_STRING or 0)
      if not i then return end
      end_string(self)
    elseif state == IN_SKIPPED then
      i = pass_skipped(self, text, i)
      if not i then return end
      after_value(self)
    elseif state == IN_SCALAR then
      i = pass_scalar(self, text, i)
      if not i then return end
    elseif state == BAD or state == END then
      return
    else
      local c = byte(text, i)
      if SPACE[c] or (BYTE_ORDER_MARK[c] and state == VALUE and self.depth == 0) then
        i = i + 1
      elseif state == VALUE then
        begin_value(self, c)
        if self.state ~= IN_SCALAR then i = i + 1 end
      elseif state == COMMA then
        i = i + 1
        if c == 44 then self.state = self.objects[self.depth] and KEY or VALUE
        elseif CLOSES[c] then end_container(self, c)
        else self.state = BAD end
      elseif state == COLON then
        i = i + 1
        self.state = c == 58 and VALUE or BAD
      elseif state == KEY or state == KEY_OR_END then
        i = i + 1
        if c == 34 then begin_string(self, true)
        elseif state == KEY_OR_END and c == 125 then end_container(self, c)
        else self.state = BAD end
      elseif state == VALUE_OR_END then
        if c == 93 then
          i = i + 1
          end_container(self, c)
        else
          begin_value(self, c)
          if self.state ~= IN_SCALAR then i = i + 1 end
        end
      else
        self.state = BAD
      end
    end
  end
end

-- The text has ended: a number at its top ends with it.
function Scan:finish()
  if self.state == IN_SCALAR and self.depth == 0 then end_scalar(self) end
end

return { new = new }
