-- wrk sends the reviews of a folder in turn, and prints what it measured as JSON.
--
--   wrk ... -s load_generator.lua URL -- FOLDER COUNT alike|release|unlike
--
-- No two requests are the same: each has a uid of its own, and its pod a token volume of its own, because the API server
-- names both anew for every pod. So nothing is gained by keeping answers. With `release`, each pod has a checksum and an
-- image of its own, too, as if each were the first one of a new release. With `unlike`, its worker also has a name and an
-- argument of its own, as if each came from a template that nobody has seen: nothing is gained by keeping decisions.

local marks = {
  { before = '"request":{"uid":"', skip = 24, width = 12 },
  { before = "kube-api-access-", skip = 0, width = 5 },
}
local of_release = {
  { before = '"checksum/configuration":"', skip = 0, width = 12 },
  { before = "/orders:2.", skip = 0, width = 2 },
}
local of_template = {
  { before = '"name":"worker-', skip = 0, width = 6 },
  { before = '"--id=', skip = 0, width = 6 },
}
local templates, count, number = {}, 0, 0

-- Cuts a request into what stays the same and, at every second place, the width of what changes.
local function cut(text)
  local places = {}
  for _, mark in ipairs(marks) do
    local from = 1
    while true do
      local _, last = text:find(mark.before, from, true)
      if not last then
        break
      end
      from = last + mark.skip + 1
      places[#places + 1] = { at = from, width = mark.width }
    end
  end
  table.sort(places, function(one, other) return one.at < other.at end)
  local parts, widths, from = {}, {}, 1
  for _, place in ipairs(places) do
    parts[#parts + 1] = text:sub(from, place.at - 1)
    parts[#parts + 1] = ""
    widths[#parts] = place.width
    from = place.at + place.width
  end
  parts[#parts + 1] = text:sub(from)
  return { parts = parts, widths = widths }
end

function init(arguments)
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  wrk.headers["accept"] = "application/json, */*"
  wrk.headers["user-agent"] = "kube-apiserver-admission"
  count = tonumber(arguments[2])
  if arguments[3] ~= "alike" then
    for _, mark in ipairs(of_release) do marks[#marks + 1] = mark end
  end
  if arguments[3] == "unlike" then
    for _, mark in ipairs(of_template) do marks[#marks + 1] = mark end
  end
  for place = 0, count - 1 do
    local file = assert(io.open(string.format("%s/%d.json", arguments[1], place), "rb"))
    wrk.body = file:read("*a")
    file:close()
    templates[place] = cut(wrk.format())
  end
end

function request()
  number = number + 1
  local template = templates[number % count]
  local name = string.format("%012x", number)
  for place, width in pairs(template.widths) do
    template.parts[place] = name:sub(-width)
  end
  return table.concat(template.parts)
end

function done(summary, latency, per_thread)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"microseconds":%d,"failures":%d,"p50":%d,"p99":%d,"p999":%d,"longest":%d}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
