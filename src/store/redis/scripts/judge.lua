-- What every question begins with. SLACK and KEEP, in seconds, are put before this text.
--
-- KEYS[1] is the hash `mem`, ARGV[1] the id of the memory meant.

local now = tonumber(redis.call('TIME')[1])

-- The replication id of this server: another one after every restart and every promotion. A
-- replica has that of its primary, so it must not answer.
local function replid()
  local info = redis.call('INFO', 'replication')
  if not string.find(info, '\r\nrole:master\r\n', 1, true) then
    return nil
  end
  return string.match(info, '\r\nmaster_replid:(%x+)\r\n')
end

local REPLICA = { err = 'READONLY this server is a replica' }

local FIELDS = { 'id', 'replid', 'horizon', 'revoked_horizon', 'latest', 'entries', 'revocations' }

-- What `mem` says, by the names above; `bucket` is one more field of it.
local function memory(bucket)
  local values = redis.call('HMGET', KEYS[1], bucket or 'b', unpack(FIELDS))
  local mem = { bucket = tonumber(values[1]) or 0, id = values[2], replid = values[3] }
  for i = 3, #FIELDS do
    mem[FIELDS[i]] = tonumber(values[i + 1]) or 0
  end
  return mem
end

-- Why a memory that is there is not whole, as far as `mem` alone can tell.
local function breakage(mem, replid)
  if mem.replid ~= replid then
    return 'moved'
  end
  if mem.horizon > now + SLACK or mem.revoked_horizon > now then
    return 'clock'
  end
  return nil
end

-- What there is to tell where the memory meant is not there or not whole; otherwise nothing.
local function judged(mem)
  local id = replid()
  if not id then
    return REPLICA
  end
  if mem.id ~= ARGV[1] then
    return { 'fenced', mem.id }
  end
  local broken = breakage(mem, id)
  return broken and { 'broken', broken }
end

-- Whether the revocations are all there.
local function revocations_lost(mem, revoked, times, ends)
  local count = mem.revocations
  return redis.call('ZCARD', revoked) ~= count
    or redis.call('HLEN', times) ~= count
    or redis.call('ZCARD', ends) ~= count
end
