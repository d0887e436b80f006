-- THE PARTS OF A PROMPT AS HASHES, so that the processor can tell which part of it changes with each request and keeps all that
-- stands behind it out of the cache. Never a word of it: a part is its length and a salted hash.
--
-- Hashed are the texts that a model is shown, in order, and not how JSON has them: a text alone and a list with that one text are
-- the same, and marks for the cache (`cache_control`), which move on with each request, are left out. Of tools the keys count too,
-- since those of a schema are names, and so do their marks.
--
-- What comes back is one line of words:
--
--   b                                 only the front of it was read: it is too large, or has too many parts
--   c                                 something is marked for the cache
--   tCOUNT:BYTES:HASH:SET             the tools; SET is the same in whatever order they stand
--   sBYTES:HASH:LOOSE                 a block of the system prompt, `sa…` if it is Claude Code's line about itself, `sr…` for all
--                                     blocks from the last one that has a word of its own; LOOSE does not see which digits there are
--   iBYTES:HASH:LOOSE                 instructions (Responses), one of the blocks too
--   mBYTES:HASH:LOOSE                 one of the first messages, or items of input
--   eNUMBER:HASH:BYTES                one of the last messages behind those; HASH is of all up to it
--
-- Only the first two messages have LOOSE, and only parts of up to 64 KiB.
--
-- HASH is of 32 bits, one round for each four bytes, in four lanes: a changed text has another hash unless four billions to one.

local ffi, bit = require("ffi"), require("bit")
local band, bor, bxor, rol, rshift, tobit, tohex = bit.band, bit.bor, bit.bxor, bit.rol, bit.rshift, bit.tobit, bit.tohex
local find, byte, sub, concat, min, max = string.find, string.byte, string.sub, table.concat, math.min, math.max
local cast, copy, fill = ffi.cast, ffi.copy, ffi.fill

local BYTES, WORDS = ffi.typeof("const uint8_t *"), ffi.typeof("const int32_t *")
local LONG_WORDS = ffi.typeof("const uint64_t *")
local GROUP = 16
local GOLDEN = -0x61C88647   -- 2^32 less, or it would be no whole number to LuaJIT, and the sum half as fast
local LARGEST_PIECE = 65536   -- of 128 KiB and more LuaJIT asks the system for each string

local MOST_BLOCKS, MOST_MESSAGES, MOST_LAST = 6, 12, 12
local LOOSE_MESSAGES, LONGEST_LOOSE = 2, 65536
local LONGEST_KEY = 64
-- While a body is read here, one of Envoy's threads carries nobody else's bytes. So there are two bounds: no more bytes are read than
-- a conversation ever has, and no more steps are taken, for bodies that were made to be slow to read. A bracket is a step, and a part
-- is sixteen.
local MOST_BYTES, MOST_STEPS, STEPS_OF_A_PART = 8388608, 524288, 16
local DEEPEST = 500   -- below that keys are taken for texts: nobody's brackets may fill the memory
local MARK, NO_MARK, TYPE = "cache_control", "a text that is longer", "type"
local ATTRIBUTION, NO_ATTRIBUTION = "x-anthropic-billing-header", "a text that is not shorter, and another one"
local SECTIONS = { system = "s", instructions = "i", tools = "t", messages = "m", input = "m" }
local PLAIN, STRING, TOOL = 1, 2, 3

-- One round of a lane. It loses nothing: two states that differ still do after the same word.
local function mixed(h, word)
  return tobit(rol(bxor(h, word), 11) + GOLDEN)
end

-- Four bytes of which those from 0 to ? have lost their lower half.
local function without_digits(word)
  local high = bxor(band(word, 0xF0F0F0F0), 0x30303030)
  local others = band(bor(rshift(high, 4), rshift(high, 5), rshift(high, 6), rshift(high, 7)), 0x01010101)
  return band(word, bor(0xF0F0F0F0, others * 15))
end

-- THE HASH of the part that is being read. Its bytes come in ranges of pieces, and where a piece is cut does not matter: what is no
-- whole group waits in `rest`. `loose` is a second hash, without digits: of a byte from 0 to ? it has only that it is one.
--
-- One body is read at a time, from its beginning to its end. So the state is not in tables, where it would cost half of the time.
local rest = ffi.new("uint8_t[?]", GROUP)
local rest_words = cast(WORDS, rest)
local waiting, hashed, has_loose = 0, 0, false
local lane_a, lane_b, lane_c, lane_d, loose = 0, 0, 0, 0, 0

local function begin_hash(salt, with_loose)
  lane_a, lane_b, lane_c, lane_d = salt, bxor(salt, 0x3C6EF372), bxor(salt, 0x510E527F), bxor(salt, 0x1F83D9AB)
  loose, has_loose, waiting, hashed = salt, with_loose, 0, 0
end

local function add_groups(p, i, last)
  local a, b, c, d = lane_a, lane_b, lane_c, lane_d
  while i <= last do
    local w = cast(WORDS, p + i)
    a = tobit(rol(bxor(a, w[0]), 11) + GOLDEN)
    b = tobit(rol(bxor(b, w[1]), 13) + 0x7F4A7C15)
    c = tobit(rol(bxor(c, w[2]), 15) + 0x6A09E667)
    d = tobit(rol(bxor(d, w[3]), 17) + 0x3BA7CA84)
    i = i + GROUP
  end
  lane_a, lane_b, lane_c, lane_d = a, b, c, d
  return i
end

local function add_groups_loosely(p, i, last)
  local h = loose
  while i <= last do
    local w = cast(WORDS, p + i)
    h = mixed(mixed(h, without_digits(w[0])), without_digits(w[1]))
    h = mixed(mixed(h, without_digits(w[2])), without_digits(w[3]))
    i = i + GROUP
  end
  loose = h
end

-- The bytes from `i` up to, and without, `stop`.
local function add_bytes(p, i, stop)
  hashed = hashed + stop - i
  if hashed > LONGEST_LOOSE then has_loose = false end
  if waiting > 0 then
    local length = min(GROUP - waiting, stop - i)
    copy(rest + waiting, p + i, length)
    waiting, i = waiting + length, i + length
    if waiting < GROUP then return end
    if has_loose then add_groups_loosely(rest, 0, 0) end
    add_groups(rest, 0, 0)
    waiting = 0
  end
  if stop - i >= GROUP then
    if has_loose then add_groups_loosely(p, i, stop - GROUP) end
    i = add_groups(p, i, stop - GROUP)
  end
  if i < stop then
    copy(rest, p + i, stop - i)
    waiting = stop - i
  end
end

-- A text has ended: what follows is another one.
local function end_text()
  if waiting > 0 then
    fill(rest + waiting, GROUP - waiting)
    for k = 0, rshift(waiting - 1, 2) do
      local word = rest_words[k]
      lane_a = mixed(lane_a, word)
      if has_loose then loose = mixed(loose, without_digits(word)) end
    end
  end
  lane_a, loose, waiting = mixed(lane_a, waiting), mixed(loose, waiting), 0
end

local function end_hash()
  if waiting > 0 then end_text() end
  local h = mixed(mixed(mixed(lane_a, lane_b), lane_c), lane_d)
  return mixed(bxor(h, rshift(h, 15)), hashed)
end

-- KNOWN PARTS. Nearly all of a prompt was in the one before it, byte for byte. So what a part came to is remembered, with a hash of 64
-- bits of how it is written: the next time that hash is enough, and nobody looks for the ends of its texts. It takes a quarter of the
-- time. Each of Envoy's threads remembers some twenty conversations; a part that takes another's place makes it be read anew.
local MOST_KNOWN = 4096                   -- a power of two
local SHORTEST_KNOWN, OPENING = 32, 128   -- bytes
local IS_MARKED, IS_ATTRIBUTION, HAS_LOOSE = 1, 2, 4
local known = ffi.new(ffi.typeof(
  "struct { uint64_t opening, written; uint32_t length, hashed; int32_t value, loose; uint32_t flags; }[$]", MOST_KNOWN))
local seed = 0ULL
local opening, place = ffi.new("uint64_t[1]"), -1   -- how the part opens that is being read, with its number, and where it is to be found

-- A hash of at least 32 bytes as they stand there, eight at a time.
local function hash_of(p, i, stop)
  local a, b, c, d = seed, seed + 0x9E3779B97F4A7C15ULL, seed + 0xC2B2AE3D27D4EB4FULL, seed + 0x165667B19E3779F9ULL
  local last = stop - 32
  while i < last do
    local w = cast(LONG_WORDS, p + i)
    a = rol(bxor(a, w[0]) * 0x9E3779B185EBCA87ULL, 31)
    b = rol(bxor(b, w[1]) * 0x9E3779B185EBCA87ULL, 29)
    c = rol(bxor(c, w[2]) * 0x9E3779B185EBCA87ULL, 27)
    d = rol(bxor(d, w[3]) * 0x9E3779B185EBCA87ULL, 25)
    i = i + 32
  end
  local w = cast(LONG_WORDS, p + last)
  a = rol(bxor(a, w[0]) * 0x9E3779B185EBCA87ULL, 31)
  b = rol(bxor(b, w[1]) * 0x9E3779B185EBCA87ULL, 29)
  c = rol(bxor(c, w[2]) * 0x9E3779B185EBCA87ULL, 27)
  d = rol(bxor(d, w[3]) * 0x9E3779B185EBCA87ULL, 25)
  a = rol(bxor(a, b) * 0xC2B2AE3D27D4EB4FULL, 31)
  a = rol(bxor(a, c) * 0xC2B2AE3D27D4EB4FULL, 31)
  a = bxor(a, d) * 0xC2B2AE3D27D4EB4FULL
  return bxor(a, rshift(a, 32))
end

-- WHAT HAS BEEN SEEN of a body.
local salt = 0
local words = {}
local blocks, block_rest, block_bytes = 0, 0, 0
local messages, first_messages, chain, last_messages, last_sizes = 0, {}, 0, {}, {}
local tools, tool_bytes, tools_in_order, tool_set = 0, 0, 0, 0
local is_marked, part_is_marked, head = false, false, ""
local steps, is_cut = 0, false

-- WHERE IN IT the reading is. `section` and `part` are letters, nil outside; `skipped` is the depth of a value that is left out.
local mode, depth, is_object = PLAIN, 0, {}
local wants_key, is_key, key, escaped = false, false, "", false
local section, part, skipped, part_start = nil, nil, nil, -1   -- of a part that began in an earlier piece less than 0
local tool_depth, tool_in_string, tool_text, in_scalar = 0, false, "", false

local function begin(with_salt)
  if with_salt ~= salt then seed = with_salt * 0xD6E8FEB86659FD93ULL end
  salt = with_salt
  words, blocks, block_rest, block_bytes = {}, 0, salt, 0
  messages, first_messages, chain, last_messages, last_sizes = 0, {}, salt, {}, {}
  tools, tool_bytes, tools_in_order, tool_set = 0, 0, salt, 0
  is_marked, part_is_marked, head = false, false, ""
  steps, is_cut = 0, false
  mode, depth, is_object = PLAIN, 0, {}
  wants_key, is_key, key, escaped = false, false, "", false
  section, part, skipped, in_scalar = nil, nil, nil, false
  begin_hash(salt, false)
end

local function begin_part()
  part, head, part_is_marked = section, "", false
  begin_hash(salt, part == "s" or part == "i" or (part == "m" and messages < LOOSE_MESSAGES))
end

local function word_of(value)
  local word = hashed .. ":" .. tohex(value)
  return has_loose and word .. ":" .. tohex(loose) or word
end

local function end_message(value)
  messages = messages + 1
  chain = mixed(chain, value)
  if messages <= MOST_MESSAGES then
    first_messages[messages] = "m" .. word_of(value)
  else
    last_messages[messages % MOST_LAST], last_sizes[messages % MOST_LAST] = chain, hashed
  end
end

local function end_block(value)
  blocks = blocks + 1
  if blocks < MOST_BLOCKS then
    words[#words + 1] = (head == ATTRIBUTION and "sa" or part) .. word_of(value)
  else
    block_rest, block_bytes = mixed(block_rest, value), block_bytes + hashed
  end
end

local function end_part(value)
  if part == "t" then
    tools, tool_bytes = tools + 1, tool_bytes + hashed
    tools_in_order = mixed(tools_in_order, value)
    tool_set = tobit(tool_set + bxor(value, rshift(value, 13)))
  elseif part == "m" then
    end_message(value)
  else
    end_block(value)
  end
  is_marked, part_start = is_marked or part_is_marked, -1
  steps = steps + STEPS_OF_A_PART
  part = nil
end

-- The part that begins at `start` has ended, and all of it is in this piece.
local function remember(p, start, stop, value)
  if place < 0 or stop - start < SHORTEST_KNOWN then return end
  local one = known[place]
  one.opening, one.written, one.length = opening[0], hash_of(p, start, stop), stop - start
  one.value, one.hashed, one.loose = value, hashed, loose
  one.flags = (part_is_marked and IS_MARKED or 0) + (head == ATTRIBUTION and IS_ATTRIBUTION or 0) + (has_loose and HAS_LOOSE or 0)
end

-- Takes the part that begins at `start`, if it is known. Returns the place behind it, or nil.
local function take_known(p, n, start)
  place = -1
  if start + OPENING > n then return nil end
  local number = section == "m" and messages or section == "t" and tools or blocks
  local seen = bxor(hash_of(p, start, start + OPENING), (byte(section) * 1048576 + number) * 0x9E3779B97F4A7C15ULL)
  opening[0], place = seen, tonumber(band(seen, MOST_KNOWN - 1ULL))
  local one = known[place]
  if one.opening ~= seen then return nil end
  local stop = start + one.length
  if stop > n or hash_of(p, start, stop) ~= one.written then return nil end
  local flags = one.flags
  part, head, part_is_marked = section, band(flags, IS_ATTRIBUTION) ~= 0 and ATTRIBUTION or "", band(flags, IS_MARKED) ~= 0
  hashed, loose, has_loose = one.hashed, one.loose, band(flags, HAS_LOOSE) ~= 0
  end_part(one.value)
  return stop
end

-- Whether a value that is a part begins here: an item of a section's list, or the section itself if it is a text.
local function begin_value(c)
  if section and not part and (depth == 2 or (depth == 1 and c == 34 and not is_key)) then begin_part() end
end

-- The place of the quote that ends a string, or nil if the piece ends before it; and whether the first byte of the next piece is
-- escaped then. Places count from 0.
local function end_of_string(text, i, is_escaped)
  if is_escaped then i = i + 1 end
  local from = i
  while true do
    local quote = find(text, '"', i + 1, true)
    if quote and byte(text, quote - 1) ~= 92 then return quote - 1, false end
    local last = quote and quote - 2 or #text - 1
    local before = last
    while before >= from and byte(text, before + 1) == 92 do before = before - 1 end
    if not quote then return nil, (last - before) % 2 == 1 end
    if (last - before) % 2 == 0 then return quote - 1, false end
    i, from = quote, quote
  end
end

local function end_key(text, p, i, stop)
  local length = stop - i
  -- Most keys need not be known: none of another length is one that matters, and of `role` and `text` the second letter tells.
  if key ~= "" then key = key .. sub(text, i + 1, stop)
  elseif depth == 1 or length == #MARK or (length == #TYPE and p[i + 1] == 121) then key = sub(text, i + 1, stop)
  else return end
  if depth == 1 then
    section = SECTIONS[key]
    is_marked = is_marked or key == MARK   -- of the whole prompt
  end
  if part and not skipped and (key == MARK or key == TYPE) then
    skipped = depth
    part_is_marked = part_is_marked or key == MARK
  end
end

local function feed_string(text, p, n, i)
  local stop, is_cut = end_of_string(text, i, escaped)
  escaped = is_cut
  if part and not skipped and not is_key then
    if part == "s" and #head < #ATTRIBUTION then
      head = head .. sub(text, i + 1, min(stop or n, i + #ATTRIBUTION - #head))
      if stop and #head < #ATTRIBUTION then head = NO_ATTRIBUTION end   -- its first text alone says what a block is
    end
    add_bytes(p, i, stop or n)
    if stop then end_text() end
  end
  if not stop then
    if is_key and #key <= LONGEST_KEY then key = key .. sub(text, i + 1, min(n, i + LONGEST_KEY + 1)) end
    return n
  end
  mode = PLAIN
  if is_key then
    end_key(text, p, i, stop)
    is_key = false
  elseif part and depth == 1 then
    end_part(end_hash())
    section = nil
  end
  return stop + 1
end

-- A text of a tool itself, and not of what is in it: its keys are some of those. A piece may end within it.
local function note_tool_text(text, i, stop, n)
  tool_text = #tool_text + (stop or n) - i <= #MARK and tool_text .. sub(text, i + 1, stop or n) or NO_MARK
  if stop then
    part_is_marked = part_is_marked or tool_text == MARK
    tool_text = ""
  end
end

-- A tool goes into the hash as it stands there: its keys count, and it is no text.
local function feed_tool(text, p, n, i)
  local from, inner, in_string, is_over = i, tool_depth, tool_in_string, false
  local is_escaped, taken = escaped, 0
  while i < n do
    taken = taken + 1
    if in_string then
      local stop, is_cut = end_of_string(text, i, is_escaped)
      if inner == 1 and (not stop or tool_text ~= "" or stop - i == #MARK) then note_tool_text(text, i, stop, n) end
      is_escaped, in_string, i = is_cut, not stop, (stop or n - 1) + 1
    else
      local c = p[i]
      i = i + 1
      if c == 34 then in_string, is_escaped = true, false
      elseif c == 123 or c == 91 then inner = inner + 1
      elseif c == 125 or c == 93 then
        inner = inner - 1
        is_over = inner == 0
        if is_over then break end
      end
    end
  end
  tool_depth, tool_in_string, escaped, steps = inner, in_string, is_escaped, steps + taken
  add_bytes(p, from, i)
  if is_over then
    escaped, mode = false, PLAIN
    local value = end_hash()
    if part_start >= 0 then remember(p, part_start, i, value) end
    end_part(value)
  end
  return i
end

-- Takes the next piece. Returns true if the body's object has ended, so that nothing behind it is looked at. Returns a place if a part
-- begins there and does not end in this piece: the next piece has to begin there.
local function feed(text)
  local p, n, i = cast(BYTES, text), #text, 0
  local taken = 0
  part_start = -1
  while i < n do
    taken = taken + 1
    if mode == STRING then i = feed_string(text, p, n, i)
    elseif mode == TOOL then i = feed_tool(text, p, n, i)
    else
      local c = p[i]
      i = i + 1
      if c == 34 or c == 123 or c == 91 then
        local behind = nil
        if depth == 2 and section and not part then
          part_start = i - 1
          behind = take_known(p, n, part_start)
        end
        if behind then i = behind
        elseif c == 34 then
          is_key, key, wants_key = wants_key, "", false
          begin_value(c)
          mode = STRING
        else
          begin_value(c)
          if part == "t" and depth == 2 then
            mode, tool_depth, tool_in_string, tool_text = TOOL, 0, false, ""
            i = i - 1
          else
            if depth == 1 and c == 123 then section = nil end
            depth, wants_key = depth + 1, c == 123 and depth < DEEPEST
            if depth <= DEEPEST then is_object[depth] = c == 123 end
          end
        end
      elseif c == 125 or c == 93 or c == 44 then
        if in_scalar then
          end_text()
          in_scalar = false
        end
        if part and depth == 2 then
          local value = end_hash()
          if part_start >= 0 then remember(p, part_start, i - 1, value) end
          end_part(value)
        end
        if c == 44 then
          if skipped and depth <= skipped then skipped = nil end
          wants_key = is_object[depth]
        else
          depth, wants_key = depth - 1, false
          if skipped and depth < skipped then skipped = nil end
          if depth == 1 then section = nil end
          if depth <= 0 then return true end
        end
      elseif c > 32 and c ~= 58 then
        begin_value(c)
        if part and not skipped then
          add_bytes(p, i - 1, i)
          in_scalar = true
        end
      end
    end
  end
  steps = steps + taken
  if part and part_start > 0 then
    mode, depth, part, skipped, escaped, is_key, wants_key, in_scalar = PLAIN, 2, nil, nil, false, false, false, false
    return part_start
  end
end

local function told()
  -- The blocks are told as one, and so are the tools: where the body was cut within them, they are not told.
  if is_cut then
    words[#words + 1] = "b"
    if section == "t" then tools = 0
    elseif section ~= "m" then blocks = 0 end
  end
  if blocks >= MOST_BLOCKS then words[#words + 1] = "sr" .. block_bytes .. ":" .. tohex(block_rest) end
  if is_marked then words[#words + 1] = "c" end
  if tools > 0 then
    words[#words + 1] = "t" .. tools .. ":" .. tool_bytes .. ":" .. tohex(tools_in_order) .. ":" .. tohex(tool_set)
  end
  for n = 1, #first_messages do words[#words + 1] = first_messages[n] end
  for n = max(MOST_MESSAGES, messages - MOST_LAST) + 1, messages do
    words[#words + 1] = "e" .. n .. ":" .. tohex(last_messages[n % MOST_LAST]) .. ":" .. last_sizes[n % MOST_LAST]
  end
  return concat(words, " ")
end

-- Reads a body of `size` bytes, or the front of it; `bytes(from, length)` gives some of them, from 0 on. Of what is no JSON it tells
-- something or other.
local function read(size, bytes, with_salt)
  begin(with_salt)
  local from, stop = 0, min(size, MOST_BYTES)
  while from < stop do
    if steps > MOST_STEPS then
      is_cut = true
      return told()
    end
    local length = min(LARGEST_PIECE, stop - from)
    local back = feed(bytes(from, length))
    if back == true then return told() end
    from = from + (back or length)
  end
  is_cut = stop < size
  return told()
end

return { read = read, begin = begin, feed = feed, told = told }
