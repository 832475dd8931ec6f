-- Requests of which no two are alike, neither in their targets nor in their fields.
local count = 0
request = function()
  count = count + 1
  wrk.headers["X-Request-Id"] = count
  return wrk.format("GET", "/varied/" .. count)
end
