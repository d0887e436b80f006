-- One report of a replica, and its answer: everything that the replicas of a plan share, in one atomic step.
--
-- KEYS[1]  hash: the state. Fields: r:<id> a replica's entry; leader, epoch; ruling (the plan's limits), ruling_v (their
--          version), rooms, usable, pace, burst, heard, read_to; tokens, filled_at; born; turn; told, counts; newest,
--          copied; gate, gate_v; probe.
-- KEYS[2]  list: what replicas of older versions tell their leader; `newest` counts it.
-- KEYS[3]  list: the latest events, for the leader; `told` counts it.
-- ARGV     now in milliseconds (0: the server's time), id, serial, probe (0 or 1), leaves (0 or 1), epoch, heard,
--          limits_v seen, limits or '', their rooms, pace, burst, heard, gate or '', the gate_v that it was made from,
--          how many models, for each: name, held, want, weight, retrying;
--          then each refusal: model, class, code, started, ended.
-- Answer   {'stale'}, or now, settled, up, leads, epoch, replicas, limits_v, limits or '', gate_v, gate or '',
--          may_probe, heard, told, busy replicas, how many models have work, for each: name, held, waiting, granted;
--          then the events.
--
-- Rooms    how many may be in flight: of the account, of a model that is not named, of MCP tools if they are not, how
--          many groups of models share a limit, of each group, then for each model: name, how many, its group or 0.
-- Entry    serial, held, want, weight, retrying, probe, turn, seen; then 'models' and for each: name, held, want,
--          weight, retrying, turn. Older versions write the eight numbers alone, which leave MCP tools out, and read
--          no more: what they hold and want counts as of an unknown model.
-- Events   'c' time, then for each model that changed: name, held, retrying, whether any wait, started;
--          'r' time model class code started ended.

local LEASE = 10000     -- a replica that has not reported for so long loses what it holds
local REIGN = 2000      -- a leader that has not reported for so long leads no more
local FRESH = 1500      -- a replica that has not reported for so long is dealt no places
local SETTLE = 2500     -- all that there are have reported: longer than a replica waits to connect again
local KEPT = 4096       -- events
local AT_ONCE = 256     -- events in an answer, and places that are dealt out
local LIFE = 86400000   -- what nobody touches for a day is forgotten
local MCP, UNKNOWN = 'mcp', 'unknown'

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local id, serial = ARGV[2], tonumber(ARGV[3])

local state = {}
local raw = redis.call('HGETALL', KEYS[1])
for i = 1, #raw, 2 do state[raw[i]] = raw[i + 1] end
local number = function(name, default) return tonumber(state[name]) or default end
local words = function(text)
  local found = {}
  for each in string.gmatch(text or '', '%S+') do found[#found + 1] = each end
  return found
end
local whole = function(value) return string.format('%.0f', value) end
local work = function(r, model, held, want, weight, retrying, turn)
  return {r = r, model = model, held = tonumber(held), want = tonumber(want), weight = tonumber(weight),
          retrying = tonumber(retrying), turn = tonumber(turn)}
end

-- Who there is, and the work of each: what it has and wants of a model. Those whose lease is over are forgotten, with
-- all that they held.
local replicas, me = {}, nil
for field, value in pairs(state) do
  if string.sub(field, 1, 2) == 'r:' then
    local w = words(value)
    local r = {id = string.sub(field, 3), serial = tonumber(w[1]), probe = tonumber(w[6]), works = {},
               seen = math.min(tonumber(w[8]), now), is_old = w[9] ~= 'models'}
    if now - r.seen > LEASE then
      redis.call('HDEL', KEYS[1], field)
    else
      if r.is_old then r.works[1] = work(r, UNKNOWN, w[2], w[3], w[4], w[5], w[7]) end
      for i = 10, #w, 6 do r.works[#r.works + 1] = work(r, unpack(w, i, i + 5)) end
      replicas[#replicas + 1] = r
      if r.id == id then me = r end
    end
  end
end
local born = number('born', now)
if #replicas == 0 then born = now end
if born > now then born = now - SETTLE end  -- the clock was put back
if me and serial <= me.serial then return {'stale'} end
-- A work that begins (again) is given as many turns as whoever has had the fewest of the same model, or of all if nobody
-- works with that; the turn that is under way does not count. So nobody saves turns up.
local turns, fewest, fewest_of_all = {}, {}, nil
for _, r in ipairs(replicas) do
  for _, each in ipairs(r.works) do
    if each.held + each.want > 0 then
      local had = each.held > 0 and each.turn - 1 / math.max(each.weight, 0.01) or each.turn
      fewest[each.model] = math.min(fewest[each.model] or had, had)
      if each.model ~= MCP then fewest_of_all = math.min(fewest_of_all or had, had) end
    end
  end
end
if me then
  for _, each in ipairs(me.works) do
    if each.held + each.want > 0 then turns[each.model] = each.turn end
  end
else
  me = {id = id}
  replicas[#replicas + 1] = me
end
me.serial, me.probe, me.seen, me.is_old, me.works = serial, tonumber(ARGV[4]), now, false, {}
local refusals_at = 17 + 5 * tonumber(ARGV[16])
for i = 17, refusals_at - 1, 5 do
  local turn = turns[ARGV[i]] or fewest[ARGV[i]] or ARGV[i] ~= MCP and fewest_of_all or 0
  me.works[#me.works + 1] = work(me, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], turn)
end

local find = function(wanted)
  for _, r in ipairs(replicas) do if r.id == wanted then return r end end
end

-- Who leads: nobody of an older version, which can't learn of models, while one of this is there. A leader that was
-- deposed has an old epoch: the limits that it reports are ignored.
local epoch, leader = number('epoch', 0), state.leader and find(state.leader)
if not leader or leader.is_old or now - leader.seen > REIGN then
  leader, epoch = me, epoch + 1
end
local settled = now - born >= SETTLE
local rooms, usable, pace, burst = words(state.rooms), number('usable'), number('pace'), number('burst')
local limits, limits_v, heard = state.ruling, number('ruling_v', 0), number('heard')
local brings_limits = settled and leader == me and tonumber(ARGV[6]) == epoch and ARGV[9] ~= ''
if brings_limits then
  limits, limits_v = ARGV[9], math.max(limits_v + 1, now)
  rooms, pace, burst, heard = words(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
end
local up = settled and limits ~= nil

-- The gate, and who may try it.
local gate, gate_v = state.gate, number('gate_v', 0)
if ARGV[14] ~= '' and tonumber(ARGV[15]) == gate_v then
  gate, gate_v = ARGV[14], math.max(gate_v + 1, now)
end
local prober = state.probe and find(state.probe)
if not (prober and prober.probe == 1) then prober = nil end
if not prober and me.probe == 1 then prober = me end

-- What is in flight, in all and of each model.
local held, retrying, waiting, names = {}, {}, {}, {}
local is_missing = false
local add = function(counts, model, count) counts[model] = (counts[model] or 0) + count end
for _, r in ipairs(replicas) do
  local is_fresh = now - r.seen <= FRESH
  if not is_fresh then is_missing = true end
  for _, each in ipairs(r.works) do
    names[each.model] = true
    add(held, each.model, each.held)
    add(retrying, each.model, each.retrying)
    if is_fresh then add(waiting, each.model, each.want) end
  end
end
local in_all = function(works, what)
  local sum = 0
  for _, each in ipairs(works) do if each.model ~= MCP then sum = sum + each[what] end end
  return sum
end
local all_held = 0
for _, r in ipairs(replicas) do all_held = all_held + in_all(r.works, 'held') end

-- What is free. The limits that an older version has written are one number for all models.
local account = tonumber(rooms[1]) or usable or 0
local own, group_of, groups = {}, {}, {}
local group_count = tonumber(rooms[4]) or 0
for i = 1, group_count do groups[i] = tonumber(rooms[4 + i]) end
for i = 5 + group_count, #rooms, 3 do
  own[rooms[i]], group_of[rooms[i]] = tonumber(rooms[i + 1]), tonumber(rooms[i + 2])
end
local limit_of = function(model)
  return own[model] or tonumber(model == MCP and rooms[3] or rooms[2]) or account
end
local left = {account = account - all_held, own = {}, groups = {}}
for model in pairs(names) do left.own[model] = limit_of(model) - (held[model] or 0) end
for i, room in ipairs(groups) do left.groups[i] = room end
for model, group in pairs(group_of) do
  if group > 0 then left.groups[group] = left.groups[group] - (held[model] or 0) end
end
local filled_at = math.min(number('filled_at', now), now)
local tokens = 0
if up then tokens = math.min(burst, number('tokens', burst) + (now - filled_at) / 1000 * pace) end

-- The places. Each free one goes to the replica that wants it and holds the fewest of that model for its weight; among
-- equals, to the one that has had the fewest turns: each place counts as a turn by the weight, so who works for seven
-- sources has had one after seven places. That alone would never give a place to who works for one source while four
-- places are shared with one that works for seven, so whoever holds none and is a whole place behind in turns goes
-- first. A grant uses up a place of the model, one of its group, one of the account, and a token. MCP tools have places
-- of their own and use up nothing else.
local has_room = function(model)
  if left.own[model] <= 0 then return false end
  if model == MCP then return true end
  local group = group_of[model] or 0
  return left.account > 0 and left.tokens > 0 and (group == 0 or left.groups[group] > 0)
end
local take = function(model)
  left.own[model] = left.own[model] - 1
  if model == MCP then return end
  left.account, left.tokens = left.account - 1, left.tokens - 1
  local group = group_of[model] or 0
  if group > 0 then left.groups[group] = left.groups[group] - 1 end
end
-- The order is the same whoever reports: of two who each saw the other first neither would go.
local goes_before = function(one, other)
  if one.is_behind ~= other.is_behind then return one.is_behind end
  if not one.is_behind and one.load ~= other.load then return one.load < other.load end
  if one.turn ~= other.turn then return one.turn < other.turn end
  if one.r ~= other.r then return one.r.id < other.r.id end
  return one.model < other.model
end
local grants, most_turns = {}, {}
local note_turns = function(w)
  local pool = w.model == MCP and MCP or 'account'
  most_turns[pool] = math.max(most_turns[pool] or 0, w.turn)
end
if up then
  left.tokens = math.floor(tokens + 1e-6)
  local wanting = {}
  for _, r in ipairs(replicas) do
    for _, each in ipairs(now - r.seen <= FRESH and r.works or {}) do
      if each.held + each.want > 0 then note_turns(each) end
      if each.want > 0 then
        wanting[#wanting + 1] = work(r, each.model, each.held, each.want, math.max(each.weight, 0.01), 0, each.turn)
      end
    end
  end
  for _ = 1, AT_ONCE do
    local best, is_mine, i = nil, false, 1
    while i <= #wanting do
      local w = wanting[i]
      if w.want > 0 and has_room(w.model) then
        w.load = (w.held + 1) / w.weight
        w.is_behind = w.held == 0 and w.turn + 1 / w.weight <= most_turns[w.model == MCP and MCP or 'account']
        if not best or goes_before(w, best) then best = w end
        is_mine = is_mine or w.r == me
        i = i + 1
      else
        wanting[i] = wanting[#wanting]
        wanting[#wanting] = nil
      end
    end
    if not is_mine then break end
    take(best.model)
    best.held, best.want, best.turn = best.held + 1, best.want - 1, best.turn + 1 / best.weight
    note_turns(best)
    if best.r == me then add(grants, best.model, 1) end
  end
end
local turn = number('turn', 0)
for _, each in ipairs(me.works) do
  local got = grants[each.model] or 0
  if got > 0 then
    each.held, each.want = each.held + got, each.want - got
    each.turn = each.turn + got / math.max(each.weight, 0.01)
    turn = math.max(turn, each.turn)  -- older versions count on from here
    add(held, each.model, got)
    add(waiting, each.model, -got)
    if each.model ~= MCP then all_held, tokens = all_held + got, math.max(0, tokens - got) end
  end
end
local busy = 0
for _, r in ipairs(replicas) do
  if in_all(r.works, 'held') + in_all(r.works, 'want') > 0 then busy = busy + 1 end
end

-- The events, for whoever leads. What older versions tell comes first.
local told, newest = number('told', 0), number('newest', 0)
local told_before = told
local push = function(event)
  redis.call('RPUSH', KEYS[3], event)
  told = told + 1
end
local started = {}
for model, count in pairs(grants) do started[model] = count end
local uncopied = math.min(newest - number('copied', number('read_to', newest)), AT_ONCE)
for _, line in ipairs(uncopied > 0 and redis.call('LRANGE', KEYS[2], -uncopied, -1) or {}) do
  local at, refusal = string.match(line, '^r (%S+) (.+)$')
  if refusal then
    push('r ' .. at .. ' ' .. UNKNOWN .. ' ' .. refusal)
  else
    names[UNKNOWN] = true
    add(started, UNKNOWN, tonumber(string.match(line, '(%d+)$')) or 0)
  end
end
-- While a replica is missing, what it held may have ended unseen, and more than the limit may seem to fit in. That is no
-- proof of a larger limit, so no work is counted as waiting then: limits are tried only while work waits.
local stamp = string.format('%.3f', now / 1000)
local before, counts, news = {}, {}, {}
local w = words(state.counts)
for i = 1, #w, 4 do
  before[w[i]] = w[i + 1] .. ' ' .. w[i + 2] .. ' ' .. w[i + 3]
  names[w[i]] = true
end
local working = {}
for model in pairs(names) do
  local waits = waiting[model] or 0
  local count = (held[model] or 0) .. ' ' .. (retrying[model] or 0) .. ' ' .. (waits > 0 and not is_missing and 1 or 0)
  local new = started[model] or 0
  if count ~= '0 0 0' then counts[#counts + 1] = model .. ' ' .. count end
  if new > 0 or count ~= (before[model] or '0 0 0') then news[#news + 1] = model .. ' ' .. count .. ' ' .. new end
  if (held[model] or 0) + waits > 0 then working[#working + 1] = model end
end
if #news > 0 then push('c ' .. stamp .. ' ' .. table.concat(news, ' ')) end
for i = refusals_at, #ARGV, 5 do push('r ' .. stamp .. ' ' .. table.concat(ARGV, ' ', i, i + 4)) end
redis.call('LTRIM', KEYS[3], -KEPT, -1)
local heard_to, events = told, {}
if leader == me and settled then
  local from = tonumber(ARGV[7])
  if tonumber(ARGV[6]) ~= epoch or from < 0 then from = heard or told_before end
  local unread = math.min(told - math.min(from, told), redis.call('LLEN', KEYS[3]))
  if unread > 0 then
    events = redis.call('LRANGE', KEYS[3], -unread, math.min(-unread + AT_ONCE - 1, -1))
    heard_to = told - unread + #events
  end
end

local replica_count = #replicas
if ARGV[5] == '1' then
  redis.call('HDEL', KEYS[1], 'r:' .. id)
  replica_count = replica_count - 1
else
  -- Older versions know no limits by model: they deal out the account's places by `want` alone. While the account has
  -- room, `want` leaves out what only its model's limit keeps waiting, or they would keep places free for it in vain.
  local want, latest, works = 0, 0, {}
  for _, each in ipairs(me.works) do
    works[#works + 1] = table.concat({each.model, each.held, each.want, each.weight, each.retrying, each.turn}, ' ')
    latest = math.max(latest, each.turn)
    if each.model ~= MCP then
      local room = math.max(0, limit_of(each.model) - held[each.model])
      want = want + (all_held < account and math.min(each.want, room) or each.want)
    end
  end
  redis.call('HSET', KEYS[1], 'r:' .. id, table.concat({me.serial, in_all(me.works, 'held'), want,
    math.max(1, math.floor(in_all(me.works, 'weight') + 0.5)), in_all(me.works, 'retrying'), me.probe, latest,
    whole(now), 'models', unpack(works)}, ' '))
end
redis.call('HSET', KEYS[1], 'born', whole(born), 'epoch', epoch, 'leader', leader.id, 'turn', turn, 'told', told,
  'counts', table.concat(counts, ' '), 'copied', newest, 'gate_v', whole(gate_v), 'probe', prober and prober.id or '')
if gate then redis.call('HSET', KEYS[1], 'gate', gate) end
if brings_limits then
  redis.call('HSET', KEYS[1], 'ruling', limits, 'ruling_v', whole(limits_v), 'rooms', ARGV[10], 'pace', tostring(pace),
    'burst', tostring(burst), 'heard', heard, 'read_to', newest)
end
if up then
  -- Older versions read `usable` as the limit of all. Their requests count as of an unknown model, so it is lowered to
  -- what leaves them no more places than that model has.
  local theirs = math.min(account, all_held - (held[UNKNOWN] or 0) + limit_of(UNKNOWN))
  redis.call('HSET', KEYS[1], 'usable', whole(theirs), 'tokens', tostring(tokens), 'filled_at', whole(now))
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, LIFE) end

local answer = {whole(now), settled and 1 or 0, up and 1 or 0, leader == me and 1 or 0, epoch, replica_count,
  whole(limits_v), tonumber(ARGV[8]) ~= limits_v and limits or '', whole(gate_v),
  tonumber(ARGV[15]) ~= gate_v and gate or '', prober == me and 1 or 0, heard_to, told, busy, #working}
for _, model in ipairs(working) do
  for _, each in ipairs({model, held[model] or 0, waiting[model] or 0, grants[model] or 0}) do
    answer[#answer + 1] = each
  end
end
for _, event in ipairs(events) do answer[#answer + 1] = event end
return answer
