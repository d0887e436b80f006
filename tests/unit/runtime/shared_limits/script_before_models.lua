-- One report of a replica, and its answer: everything that the replicas of a plan share, in one atomic step.
--
-- KEYS[1]  hash: the state. Fields: r:<id> a replica's entry; leader, epoch; ruling, ruling_v, usable, pace, burst,
--          read_to; tokens, filled_at; born; turn; newest, last; gate, gate_v; probe.
-- KEYS[2]  list: the latest events, for the leader.
-- ARGV     now in milliseconds (0: the server's time), id, serial, held, want, weight, retrying, probe (0 or 1),
--          leaves (0 or 1), epoch, read_to, ruling_v seen, ruling or '', its usable, pace, burst, read_to,
--          gate or '', the gate_v that it was made from, then each refusal: class, code, started, ended.
-- Answer   {'stale'}, or now, settled, up, granted, leads, epoch, replicas, held, waiting, ruling_v, ruling or '',
--          gate_v, gate or '', may_probe, read_to, newest, busy replicas, then the events.

local LEASE = 10000     -- a replica that is not heard of for so long has nothing any more
local REIGN = 2000      -- a leader that is not heard of for so long leads no more
local FRESH = 1500      -- nobody waits for the turn of a replica that is not heard of for so long
local SETTLE = 2500     -- all that there are have reported: longer than a replica waits to connect again
local KEPT = 4096       -- events
local AT_ONCE = 256     -- events in an answer, and places that are dealt out
local LIFE = 86400000   -- what nobody touches for a day is forgotten

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

-- Who there is. Those whose lease is over are forgotten, with all that they held.
local replicas, me = {}, nil
for field, value in pairs(state) do
  if string.sub(field, 1, 2) == 'r:' then
    local v = {}
    for each in string.gmatch(value, '%S+') do v[#v + 1] = tonumber(each) end
    local r = {id = string.sub(field, 3), serial = v[1], held = v[2], want = v[3], weight = v[4], retrying = v[5],
               probe = v[6], turn = v[7], seen = math.min(v[8], now)}
    if now - r.seen > LEASE then
      redis.call('HDEL', KEYS[1], field)
    else
      replicas[#replicas + 1] = r
      if r.id == id then me = r end
    end
  end
end
local born = number('born', now)
if #replicas == 0 then born = now end
if born > now then born = now - SETTLE end  -- the clock was put back
if me and serial <= me.serial then return {'stale'} end
if not me then
  me = {id = id, turn = 0}
  replicas[#replicas + 1] = me
end
me.serial, me.held, me.want = serial, tonumber(ARGV[4]), tonumber(ARGV[5])
me.weight, me.retrying, me.probe, me.seen = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), now

local find = function(wanted)
  for _, r in ipairs(replicas) do if r.id == wanted then return r end end
end

-- Who leads. A leader that was deposed has an old epoch: what it rules counts for nothing.
local epoch, leader = number('epoch', 0), state.leader and find(state.leader)
if not leader or now - leader.seen > REIGN then
  leader, epoch = me, epoch + 1
end
local settled = now - born >= SETTLE
local usable, pace, burst = number('usable'), number('pace'), number('burst')
local ruling, ruling_v, ruled_to = state.ruling, number('ruling_v', 0), number('read_to')
if settled and leader == me and tonumber(ARGV[10]) == epoch and ARGV[13] ~= '' then
  ruling, ruling_v = ARGV[13], math.max(ruling_v + 1, now)
  usable, pace, burst, ruled_to = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16]), tonumber(ARGV[17])
end
local up = settled and usable ~= nil

-- The gate, and who may try it.
local gate, gate_v = state.gate, number('gate_v', 0)
if ARGV[18] ~= '' and tonumber(ARGV[19]) == gate_v then
  gate, gate_v = ARGV[18], math.max(gate_v + 1, now)
end
local prober = state.probe and find(state.probe)
if not (prober and prober.probe == 1) then prober = nil end
if not prober and me.probe == 1 then prober = me end

-- The places: each free one goes to whoever holds the fewest for its weight, of equals to who had none for longest.
local held = 0
for _, r in ipairs(replicas) do held = held + r.held end
local granted, turn = 0, number('turn', 0)
local filled_at = math.min(number('filled_at', now), now)
local tokens = 0
if up then
  tokens = math.min(burst, number('tokens', burst) + (now - filled_at) / 1000 * pace)
  local free = math.min(usable - held, math.floor(tokens + 1e-6), AT_ONCE)
  local waiting = {}
  for _, r in ipairs(replicas) do
    if r.want > 0 and now - r.seen <= FRESH then
      waiting[#waiting + 1] = {r = r, held = r.held, want = r.want, turn = r.turn}
    end
  end
  for dealt = 1, free do
    local best = nil
    for _, w in ipairs(waiting) do
      if w.want > 0 then
        w.load = (w.held + 1) / w.r.weight
        if not best or w.load < best.load or (w.load == best.load and w.turn < best.turn) then best = w end
      end
    end
    if not best then break end
    best.held, best.want, best.turn = best.held + 1, best.want - 1, turn + dealt
    if best.r == me then granted = granted + 1 end
  end
end
if granted > 0 then
  turn = turn + granted
  me.held, me.want, me.turn = me.held + granted, me.want - granted, turn
  held, tokens = held + granted, math.max(0, tokens - granted)
end
local waiting, retrying, busy, is_missing = 0, 0, 0, false
for _, r in ipairs(replicas) do
  if r.held + r.want > 0 then busy = busy + 1 end
  if now - r.seen <= FRESH then waiting = waiting + r.want else is_missing = true end
  retrying = retrying + r.retrying
end

-- The events, for whoever leads. While a replica is missing what it held may have ended: that more fits in than the
-- limit says proves nothing then, so work counts as waiting for nothing.
local newest = number('newest', 0)
local push = function(event)
  redis.call('RPUSH', KEYS[2], event)
  newest = newest + 1
end
local stamp = string.format('%.3f', now / 1000)
local count = held .. ' ' .. retrying .. ' ' .. (waiting > 0 and not is_missing and 1 or 0)
if granted > 0 or count ~= state.last then push('c ' .. stamp .. ' ' .. count .. ' ' .. granted) end
for i = 20, #ARGV, 4 do push('r ' .. stamp .. ' ' .. table.concat(ARGV, ' ', i, i + 3)) end
redis.call('LTRIM', KEYS[2], -KEPT, -1)
local read_to, events = newest, {}
if leader == me and settled then
  local from = tonumber(ARGV[11])
  if tonumber(ARGV[10]) ~= epoch or from < 0 then from = ruled_to or newest end
  local unread = math.min(newest - math.min(from, newest), redis.call('LLEN', KEYS[2]))
  if unread > 0 then
    events = redis.call('LRANGE', KEYS[2], -unread, math.min(-unread + AT_ONCE - 1, -1))
    read_to = newest - unread + #events
  end
end

local replica_count = #replicas
if ARGV[9] == '1' then
  redis.call('HDEL', KEYS[1], 'r:' .. id)
  replica_count = replica_count - 1
else
  redis.call('HSET', KEYS[1], 'r:' .. id, table.concat({me.serial, me.held, me.want, me.weight, me.retrying, me.probe,
    me.turn, string.format('%.0f', now)}, ' '))
end
redis.call('HSET', KEYS[1], 'born', string.format('%.0f', born), 'epoch', epoch, 'leader', leader.id, 'turn', turn,
  'newest', newest, 'last', count, 'gate_v', string.format('%.0f', gate_v), 'probe', prober and prober.id or '')
if gate then redis.call('HSET', KEYS[1], 'gate', gate) end
if up then
  redis.call('HSET', KEYS[1], 'usable', usable, 'pace', tostring(pace), 'burst', tostring(burst), 'ruling', ruling,
    'ruling_v', string.format('%.0f', ruling_v), 'read_to', ruled_to, 'tokens', tostring(tokens),
    'filled_at', string.format('%.0f', now))
end
redis.call('PEXPIRE', KEYS[1], LIFE)
redis.call('PEXPIRE', KEYS[2], LIFE)

local answer = {string.format('%.0f', now), settled and 1 or 0, up and 1 or 0, granted, leader == me and 1 or 0, epoch,
  replica_count, held, waiting, string.format('%.0f', ruling_v),
  tonumber(ARGV[12]) ~= ruling_v and ruling or '', string.format('%.0f', gate_v),
  tonumber(ARGV[19]) ~= gate_v and gate or '', prober == me and 1 or 0, read_to, newest, busy}
for _, event in ipairs(events) do answer[#answer + 1] = event end
return answer
