-- One call of one process to one pool: its changes, then its asks. The same, number for number, as `core/pool`.
--
-- KEYS[1]  hash: `h` the accounts, `<limit>:<slot>` what counts in a slot, `p<process>` the last call's number and answer
-- KEYS[2]  sorted set: who uses the pool, by when they last said so
-- ARGV[1]  the call as little-endian doubles; ARGV[2] the process; ARGV[3] what the clock shows, for tests
local K, PROCESS = KEYS[1], 'p' .. ARGV[2]
local pack, unpack_ = struct.pack, struct.unpack
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local call = redis.call
local packed = ARGV[1]
local A = {unpack_('<' .. string.rep('d', #packed / 8), packed)}
local seq, epoch, fresh, expected, beat, ttl = A[1], A[2], A[3], A[4], A[5], A[6]
local n, changes, asks, heard = A[7], A[8], A[9], A[#packed / 8]

local raw
if ARGV[3] then
  raw = tonumber(ARGV[3])
else
  local time = call('TIME')
  raw = time[1] * 1000000 + time[2]
end

-- What is written at the end, at once: nothing happens by halves.
local writes, w, drops = {}, 0, {}
local function send(...)
  return pack('<' .. string.rep('d', select('#', ...)), ...)
end

local state = call('HMGET', K, 'h', PROCESS)
-- Without a call that it has answered it has gone back in time: on a replica that was promoted before all had reached it.
local rewound = state[1] and heard > 0 and unpack_('<d', state[1]) == epoch
  and (not state[2] or unpack_('<d', state[2]) < heard)
if rewound then
  state = {}
end

local H, created = nil, 0
if state[1] then
  H = {unpack_('<' .. string.rep('d', #state[1] / 8), state[1])}
  if H[9] ~= n or #state[1] ~= 8 * (18 + 11 * n) then
    H = nil
  end
end
if not H then
  created = 1
  H = {fresh, 0, 0, 0, 0, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0, 0, 0}
  for i = 19, 18 + 11 * n do
    H[i] = 0
  end
elseif state[2] and unpack_('<d', state[2]) == seq then
  return string.sub(state[2], 25)
end

local function keep()
  if rewound then
    call('DEL', K, KEYS[2])
  end
  w = w + 2
  writes[w - 1], writes[w] = 'h', pack('<' .. string.rep('d', 18 + 11 * n), unpack(H))
  call('HSET', K, unpack(writes))
  if drops[1] then
    call('HDEL', K, unpack(drops))
  end
end

if epoch ~= 0 and epoch ~= H[1] then
  -- Somebody new, who knew of no life before, may have been there earlier.
  local first = 0
  if H[4] == 0 then
    first, H[4] = 1, raw - H[6] + 250000
    keep()
    call('PEXPIRE', K, ttl)
  end
  return send(H[1], first, 1, raw - H[6], H[8], 0, 0)
end

-- The clock that counts goes on where the server's is set.
local now = raw - H[6]
if expected > 0 and (now - expected > 5000000 or expected - now > 5000000) and not (now >= H[7] and now - H[7] < 1000000) then
  H[6] = raw - expected
  now = expected
end
H[7] = now
if beat == 1 or created == 1 then
  call('ZADD', KEYS[2], raw, ARGV[2])
  local gone = call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%.0f', raw - 60000000))
  if gone[1] then
    call('ZREM', KEYS[2], unpack(gone))
    for i = 1, #gone do
      drops[#drops + 1] = 'p' .. gone[i]
    end
  end
  H[8] = call('ZCARD', KEYS[2])
  call('PEXPIRE', KEYS[2], ttl)
end

-- Limits: 1 shape (0 rolling, 1 bucket, 2 fixed), 2 amount, 3 window, 4 transit, 5 step, 6 burst, 7 and 8 boundaries.
-- Accounts at o: rolling 1 low, 2 the last slot, 3 what is in it, 4 sum; fixed 1 used, 2 next, 3 end, 4 since;
-- 5 when it is full again, 6 paused, 7 outside, 8 since when, 9 foreign, 10 in doubt,
-- 11 replayed and maybe foreign as well.
local L, O, S, holds = {}, {}, {}, {}
local furthest, shortest = 0, 1 / 0
for i = 1, n do
  local o = 9 + 8 * (i - 1)
  L[i] = {A[o + 1], A[o + 2], A[o + 3], A[o + 4], A[o + 5], A[o + 6], A[o + 7], A[o + 8]}
  O[i] = 18 + 11 * (i - 1)
  S[i] = {}
  local l = L[i]
  holds[i] = (l[1] == 1 and l[6] > 0) and l[6] or l[2]
  furthest = max(furthest, l[3] + l[4])
  shortest = min(shortest, l[3])
end
if H[2] > now + 2 * furthest then
  H[2] = now
end

local dirty = {}
local function field(i, slot)
  return i .. ':' .. string.format('%.0f', slot)
end
-- Slots are read sixteen at a time.
local function amount(i, slot)
  local o = O[i]
  if slot == H[o + 2] then
    return H[o + 3]
  end
  local slots = S[i]
  local a = slots[slot]
  if not a then
    local fields, last = {}, min(slot + 15, H[o + 2] - 1)
    if last < slot then
      last = slot
    end
    for s = slot, last do
      fields[#fields + 1] = field(i, s)
    end
    local got = call('HMGET', K, unpack(fields))
    for s = slot, last do
      if not slots[s] then
        slots[s] = tonumber(got[s - slot + 1] or 0)
      end
    end
    a = slots[slot]
  end
  return a
end
local function put(i, slot, a)
  if slot == H[O[i] + 2] then
    H[O[i] + 3] = a
  else
    S[i][slot] = a
    dirty[field(i, slot)] = a
  end
end
-- Slots up to this one don't count any more.
local function expire(i, slot)
  local o = O[i]
  local low, last = H[o + 1], min(slot, H[o + 2])
  if H[o + 4] > 0 or last > low then
    if last - low > 4096 then
      low = last - 4096
    end
    for s = low + 1, last do
      local a = amount(i, s)
      if a > 0 then
        H[o + 4] = H[o + 4] - a
        if s == H[o + 2] then
          H[o + 3] = 0
        else
          S[i][s] = 0
          dirty[field(i, s)] = 0
        end
      end
    end
  end
  if slot > H[o + 1] then
    H[o + 1] = slot
  end
end

local function span(i, c)
  return c * (L[i][3] / L[i][2])
end
-- When what holds that much and was full again at that time is so once c more are missing. What it doesn't hold is owed for so
-- many windows at the most; what was owed before stays.
local function full(i, was, c, from, most, windows)
  return min(max(was, from) + ceil(span(i, c)), max(was, from + ceil(span(i, most)) + windows * L[i][3]))
end
local function pace(i, was, c, from)
  return full(i, was, c, from, L[i][6], 1)
end
local function bound(l, at)
  if l[8] == 0 then
    return 0
  elseif at < l[7] then
    return l[7]
  elseif at < l[8] then
    return l[8]
  end
  return l[8] + (floor((at - l[8]) / l[3]) + 1) * l[3]
end
-- A fixed window at an instant: used, next, end, since.
local function window(i, at)
  local l, o = L[i], O[i]
  local ends = H[o + 3]
  if ends ~= 0 and at < ends then
    return H[o + 1], H[o + 2], ends, H[o + 4]
  end
  local new = bound(l, at)
  if ends == 0 or new == 0 or bound(l, ends) ~= new then
    return 0, 0, new, at
  end
  return H[o + 2], 0, new, ends - l[4]
end
local function open(i, at)
  local o = O[i]
  H[o + 1], H[o + 2], H[o + 3], H[o + 4] = window(i, at)
end
local function straddles(l, ends, at)
  return ends ~= 0 and at + l[4] >= ends
end
local function enter(i, c, at)
  local l, o = L[i], O[i]
  if H[o + 3] == 0 then
    H[o + 3], H[o + 4] = at + l[3] + l[4], at
  end
  H[o + 1] = H[o + 1] + c
  if l[8] ~= 0 and straddles(l, H[o + 3], at) then
    H[o + 2] = H[o + 2] + c
  end
end

local function paced(i, c, most, at)
  return max(at, max(0, H[O[i] + 5] + ceil(span(i, c)) - ceil(span(i, most))))
end
local function earliest(i, c, beside, from)
  local l, o = L[i], O[i]
  local at = max(from, H[o + 6])
  local whole = max(min(c + ceil(holds[i] * beside / 1e6), holds[i]), c)
  if l[1] == 0 then
    local gone, sum = max(H[o + 1], floor(max(at - l[3], 0) / l[5])), H[o + 4]
    local last = H[o + 2]
    for s = H[o + 1] + 1, min(gone, last) do
      sum = sum - amount(i, s)
    end
    local s = gone + 1
    while sum + whole > l[2] and s <= last do
      local a = amount(i, s)
      if a > 0 then
        sum = sum - a
        at = s * l[5] + l[3]
      end
      s = s + 1
    end
  elseif l[1] == 1 then
    return paced(i, whole, holds[i], at)
  else
    for _ = 1, 3 do
      local used, next_, ends = window(i, at)
      local fits = used + whole <= l[2]
      if fits then
        if l[8] == 0 then
          fits = ends == 0 or at + 2 * l[4] < ends
        else
          fits = not straddles(l, ends, at) or next_ + whole <= l[2]
        end
      end
      if fits then
        break
      end
      at = ends
    end
  end
  if l[6] > 0 then
    return paced(i, min(c, l[6]), l[6], at)
  end
  return at
end
local function count(i, c, at)
  local l, o = L[i], O[i]
  if l[1] == 0 then
    local slot = ceil((at + l[4]) / l[5])
    if slot > H[o + 1] then
      local last = H[o + 2]
      if slot > last then
        if H[o + 3] > 0 then
          S[i][last] = H[o + 3]
          dirty[field(i, last)] = H[o + 3]
        end
        -- Between the two is nothing.
        if slot - last < 64 then
          for s = last + 1, slot - 1 do
            S[i][s] = 0
          end
        end
        H[o + 2], H[o + 3] = slot, c
      else
        put(i, slot, amount(i, slot) + c)
      end
      H[o + 4] = H[o + 4] + c
    end
  elseif l[1] == 1 then
    H[o + 5] = full(i, H[o + 5], c, at + l[4], holds[i], 64)
  else
    open(i, at)
    enter(i, c, at)
  end
end
local function paces(l)
  return l[1] ~= 1 and l[6] > 0
end
local function charge(i, c, at)
  local o = O[i]
  count(i, c, at)
  if paces(L[i]) then
    H[o + 5] = pace(i, H[o + 5], c, at)
  end
end
local function back(i, c, dated, unsent)
  local l, o = L[i], O[i]
  local refilled = unsent and max(0, now - dated) or 0
  local worth = min(max(0, floor(span(i, c)) - refilled), max(0, H[o + 5] - now))
  if l[1] == 0 then
    local slot = ceil((dated + l[4]) / l[5])
    if slot > H[o + 1] and slot <= H[o + 2] then
      local a = amount(i, slot)
      c = min(c, a)
      if c > 0 then
        put(i, slot, a - c)
        H[o + 4] = H[o + 4] - c
      end
    end
  elseif l[1] == 1 then
    H[o + 5] = H[o + 5] - worth
    return
  elseif dated >= H[o + 4] and H[o + 3] ~= 0 then
    H[o + 1] = max(0, H[o + 1] - c)
    if straddles(l, H[o + 3], dated) then
      H[o + 2] = max(0, H[o + 2] - c)
    end
  end
  if l[6] > 0 and unsent then
    H[o + 5] = H[o + 5] - worth
  end
end
local function counts(i, at, later)
  local l = L[i]
  if l[1] == 0 then
    return ceil((at + l[4]) / l[5]) > floor(max(later - l[3], 0) / l[5])
  elseif l[1] == 1 then
    return true
  elseif l[8] == 0 then
    return at + l[3] + l[4] > later
  end
  return at + l[3] >= H[O[i] + 3]
end
local function recall(i, c, at)
  local l = L[i]
  if l[1] ~= 2 then
    count(i, c, at)
  elseif counts(i, at, now) then
    if l[8] == 0 then
      count(i, c, at)
    else
      enter(i, c, at)
    end
  end
end
local function replay(i, c, at)
  recall(i, c, at)
  if paces(L[i]) then
    -- What several replay comes in another order than it left.
    if H[4] == 0 then
      H[O[i] + 5] = pace(i, H[O[i] + 5], c, at)
    else
      H[O[i] + 5] = max(H[O[i] + 5], pace(i, 0, c, at))
    end
  end
end

local function used(i, at)
  local l, o = L[i], O[i]
  if l[1] == 0 then
    local sum = H[o + 4]
    if at > now then
      for s = H[o + 1] + 1, min(floor(max(at - l[3], 0) / l[5]), H[o + 2]) do
        sum = sum - amount(i, s)
      end
    end
    return sum
  elseif l[1] == 1 then
    return min(ceil(max(0, H[o + 5] - at) * (l[2] / l[3])), holds[i])
  end
  return (window(i, at))
end
local function level(i, full, at)
  return min(ceil(max(0, full - at) * (L[i][2] / L[i][3])), holds[i])
end
local function known(i)
  local doubt = H[O[i] + 10]
  if L[i][1] == 1 then
    return level(i, max(0, H[O[i] + 5] - ceil(span(i, doubt))), now)
  end
  return max(0, used(i, now) - doubt)
end

-- What a pool that has lost its state has yet to learn: how many used it (16), how many have replayed (17), since when what was free
-- is in doubt (18).
local ahead = min(2000000, floor(shortest / 4))
local function foreign_at(i)
  return L[i][1] == 0 and H[5] + ahead or H[5]
end
local function doubted_at(i)
  return L[i][1] == 1 and H[18] or H[18] + ahead
end
local function trusts(i, c)
  local o = O[i]
  c = min(c, H[o + 10])
  if c > 0 then
    H[o + 10] = H[o + 10] - c
    back(i, c, doubted_at(i), L[i][1] == 1)
  end
end
local function theirs(i, c)
  local o = O[i]
  c = min(c, H[o + 9])
  if c > 0 then
    H[o + 9] = H[o + 9] - c
    back(i, c, foreign_at(i), false)
  end
  return c
end
-- Dates that are told may be off by a slot and 100 ms.
local function known_now(i, c, at)
  local at_least, taken = max(0, at - (L[i][5] + 100000)), 0
  if counts(i, at_least, H[5]) then
    taken = theirs(i, c)
  elseif counts(i, at, H[5]) then
    H[O[i] + 11] = H[O[i] + 11] + c
  end
  if counts(i, at_least, doubted_at(i)) then
    trusts(i, c - taken)
  end
end
local function trust()
  for i = 1, n do
    trusts(i, 1 / 0)
    local unsure = H[O[i] + 11]
    H[O[i] + 11] = 0
    theirs(i, unsure)
  end
  H[18] = 0
end
local function replayed(expected)
  if now >= H[4] + 60000000 then
    return
  end
  H[17] = H[17] + 1
  H[16] = max(H[16], expected)
  if H[17] >= H[16] then
    trust()
  elseif H[18] == 0 then
    H[18] = now
    for i = 1, n do
      local l, o = L[i], O[i]
      local free
      if l[1] == 0 then
        free = holds[i] - used(i, now + ahead)
      elseif l[1] == 1 then
        free = holds[i] + floor(ahead * (l[2] / l[3])) - used(i, now)
      else
        free = holds[i] - used(i, now)
      end
      if free > 0 then
        H[o + 10] = H[o + 10] + free
        if l[1] == 0 then
          count(i, free, now + ahead)
        elseif l[1] == 1 then
          H[o + 5] = max(H[o + 5], now) + ceil(span(i, free))
        else
          enter(i, free, now + ahead)
        end
      end
    end
  end
end

for i = 1, n do
  local l, o = L[i], O[i]
  local over
  if l[1] == 0 then
    expire(i, floor(max(now - l[3], 0) / l[5]))
    over = ceil((doubted_at(i) + l[4]) / l[5]) <= H[o + 1]
  elseif l[1] == 1 then
    over = now >= H[18] + l[3] + l[4]
  else
    open(i, now)
    over = H[o + 4] > doubted_at(i)
  end
  if over then
    H[o + 10] = 0
  end
  if H[o + 7] > 0 and now >= H[o + 8] + l[3] then
    H[o + 7] = 0
  end
end
if H[18] > 0 and now >= H[4] + 60000000 then
  trust()
end

local at = 9 + 8 * n
-- 1 late, 2 back, 3 unsent, 4 replay, 5 foreign, 6 outside, 7 pause, 8 resume, 9 sent, 10 replayed, 11 reserved
for _ = 1, changes do
  local kind, when = A[at + 1], A[at + 2]
  if kind == 11 then
    kind, when = 4, -when
  end
  local all = true
  for i = 1, n do
    all = all and A[at + 2 + i] == 0
  end
  if kind == 7 and all then
    H[3] = max(H[3], now + when)
  elseif kind == 8 then
    H[3] = 0
  elseif kind == 5 then
    H[5] = max(0, now - when)
  elseif kind == 10 then
    replayed(when)
  end
  for i = 1, n do
    -- A figure without end would stop everybody for good.
    local o, c = O[i], min(A[at + 2 + i], 64 * L[i][2] + holds[i], 9007199254740992)
    if kind == 8 then
      H[o + 6] = 0
    elseif c > 0 then
      if kind == 1 then
        charge(i, c, now)
      elseif kind == 2 then
        back(i, c, when, false)
      elseif kind == 3 then
        back(i, c, when, true)
      elseif kind == 4 then
        local then_ = max(0, now - when)
        -- What a bucket held then is known, however much went through it before.
        if L[i][1] ~= 1 or then_ > H[5] then
          known_now(i, c, then_)
          replay(i, c, then_)
        end
      elseif kind == 9 then
        replay(i, c, max(0, now - when))
      elseif kind == 5 and L[i][1] == 1 then
        H[o + 5] = max(H[o + 5], H[5] + ceil(span(i, c)))
      elseif kind == 5 then
        local rest = c - known(i)
        if rest > 0 then
          trusts(i, rest)
          H[o + 9] = H[o + 9] + rest
          recall(i, rest, foreign_at(i))
        end
      elseif kind == 6 then
        if c > H[o + 7] then
          charge(i, c - H[o + 7], now)
          H[o + 7] = c
        end
        H[o + 8] = now
      elseif kind == 7 then
        H[o + 6] = max(H[o + 6], now + when)
      end
    end
  end
  at = at + 2 + n
end

-- Turns among processes: what this one has had (parts of the limits), and what each had, were it the same for all (10); since
-- when the first asked (11); two who haven't had their share and want it, and until when (12 to 15).
local me, share = tonumber(ARGV[2], 16), 1 / max(1, H[8])
local grace = min(100000, floor(shortest / 32))
local had, put_off = 0, 0
if H[11] == 0 then
  H[11] = now
end
if created == 0 and state[2] then
  local _
  _, had, put_off = unpack_('<ddd', state[2])
elseif now < H[11] + shortest then
  H[10] = H[10] - H[10] * share
else
  had = H[10]
end
-- A whole share too little or too much is remembered, and no more.
local little = had < H[10] - share
had = min(max(had, H[10] - share), H[10] + share)

local claimed = false
local function claims(back)
  claimed = true
  local till = now + min(back, shortest) + grace
  if H[12] == me then
    H[13] = till
  elseif H[14] == me then
    H[15] = till
  else
    local first = H[13] <= H[15] and 12 or 14
    if H[first + 1] <= till then
      H[first], H[first + 1] = me, till
    end
  end
end

-- Whether it has had its share of what the ask there wants: each is to have had the same, once all that is left by then is given
-- out.
local function over(ask, part, when)
  local left = 1 / 0
  for i = 1, n do
    local c = A[ask + 2 + i]
    if c > 0 then
      left = min(left, max(0, holds[i] - used(i, when)) / c)
    end
  end
  return had >= H[10] + left * part * share
end
-- Of every limit at least that part is left: mostly there is no need to look closer.
local room, doubt = 1 / 0, false
for i = 1, n do
  doubt = doubt or H[O[i] + 10] > 0
  room = min(room, max(0, holds[i] - used(i, now)) / L[i][2])
end

local answers, r = {}, 0
local its_turn, all = false, asks > 0
for _ = 1, asks do
  local horizon, beside = A[at + 1], A[at + 2]
  local never, part = nil, 0
  for i = 1, n do
    if A[at + 2 + i] > holds[i] then
      never = never or i
    end
    part = max(part, A[at + 2 + i] / L[i][2])
  end
  if never then
    answers[r + 1], answers[r + 2], answers[r + 3] = 2, 0, never - 1
    all = false
  else
    local late, short = 0, false
    if now < H[4] then
      late = H[4] - now
    elseif part > 0 then
      short = not (had >= H[10] + room * share and over(at, part, now) and over(at, part, now + horizon))
      if short then
        if not claimed then
          claims(0)
        end
      elseif H[12] ~= me and now < H[13] or H[14] ~= me and now < H[15] then
        if put_off == 0 then
          put_off = now
        end
        late = max(0, put_off + grace - now)
      end
    end
    local blame = n + 1
    local x = max(now, H[2], H[3])
    while late == 0 do
      local then_ = x
      for i = 1, n do
        local c = A[at + 2 + i]
        if c > 0 then
          local e = earliest(i, c, beside, x)
          if e > x then
            x, blame = e, i
          end
        end
      end
      if x == then_ then
        break
      end
    end
    if late > 0 then
      answers[r + 1], answers[r + 2], answers[r + 3] = 1, late, n
      all = false
    elseif x > now + horizon then
      if short then
        claims(x - now - horizon)
      end
      if doubt then
        -- It is to ask again soon.
        x, blame = min(x, now + 100000), n + 1
      end
      answers[r + 1], answers[r + 2], answers[r + 3] = 1, x - now, blame - 1
      its_turn, all = its_turn or blame <= n, false
    else
      H[2] = x
      room, had, H[10] = room - part, had + part, H[10] + part * share
      its_turn = true
      for i = 1, n do
        if A[at + 2 + i] > 0 then
          charge(i, A[at + 2 + i], x)
        end
      end
      answers[r + 1], answers[r + 2], answers[r + 3] = 0, x - now, x
    end
  end
  r = r + 3
  at = at + 2 + n
end
if its_turn then
  put_off = 0
end
if all and little then
  for i = 12, 14, 2 do
    if H[i] == me then
      H[i + 1] = 0
    end
  end
end

local users = now < H[4] + 60000000 and max(H[8], H[16]) or H[8]
local reply = {H[1], created, 0, now, users, n, asks}
local m = 7
for i = 1, n do
  reply[m + 1], reply[m + 2] = known(i), H[O[i] + 7]
  reply[m + 3] = max(0, used(i, now) - reply[m + 1])
  m = m + 3
end
for i = 1, r do
  reply[m + i] = answers[i]
end
reply = pack('<' .. string.rep('d', m + r), unpack(reply))
for name, a in pairs(dirty) do
  if a > 0 then
    writes[w + 1], writes[w + 2] = name, string.format('%.0f', a)
    w = w + 2
  else
    drops[#drops + 1] = name
  end
end
writes[w + 1], writes[w + 2] = PROCESS, pack('<ddd', seq, had, put_off) .. reply
w = w + 2
keep()
if beat == 1 or created == 1 then
  call('PEXPIRE', K, ttl)
end
return reply
