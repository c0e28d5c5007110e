-- wrk sends the reviews of a folder in turn, and prints what it measured as JSON.
--
--   wrk ... -s drive.lua URL -- FOLDER COUNT

local requests, count, turn = {}, 0, 0

function init(arguments)
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  wrk.headers["accept"] = "application/json, */*"
  wrk.headers["user-agent"] = "kube-apiserver-admission"
  count = tonumber(arguments[2])
  for number = 0, count - 1 do
    local file = assert(io.open(string.format("%s/%d.json", arguments[1], number), "rb"))
    wrk.body = file:read("*a")
    file:close()
    requests[number] = wrk.format()
  end
end

function request()
  turn = (turn + 1) % count
  return requests[turn]
end

function done(summary, latency, per_thread)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"microseconds":%d,"failures":%d,"p50":%d,"p99":%d,"p999":%d,"longest":%d}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
