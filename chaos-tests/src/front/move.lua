local kind, host, port, millis, what = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local steps = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do
    local odd = bit.band(crc, 1) == 1
    crc = bit.rshift(crc, 1)
    if odd then crc = bit.bxor(crc, 0xEDB88320) end
  end
  steps[byte] = crc
end

local function tag_of(key)
  local open = string.find(key, '{', 1, true)
  local close = open and string.find(key, '}', open + 1, true)
  return close and string.sub(key, open + 1, close - 1) or key
end

local function slot_of(tag)
  local crc = 0xFFFFFFFF
  for at = 1, #tag do
    local step = steps[bit.band(bit.bxor(crc, string.byte(tag, at)), 255)]
    crc = bit.bxor(bit.rshift(crc, 8), step)
  end
  return bit.band(bit.bnot(crc), 1023)
end

local wanted = kind == 'slot' and tonumber(what) or slot_of(tag_of(what))
local tag = kind == 'one' and tag_of(what) or nil
local moving, left, cursor = {}, 0, '0'
repeat
  local page = redis.call('SCAN', cursor, 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local own = tag_of(key)
    if slot_of(own) == wanted then
      tag = tag or own
      if own == tag then
        moving[#moving + 1] = key
      else
        left = left + 1
      end
    end
  end
until cursor == '0'

if #moving > 0 then
  redis.call('MIGRATE', host, port, '', 0, millis, 'REPLACE', 'KEYS', unpack(moving))
end
return kind == 'slot' and { #moving, left } or #moving
