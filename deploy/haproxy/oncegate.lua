-- Forward auth for HAProxy 2.6 or later, with nothing but HAProxy's own Lua.
--
-- The action "oncegate" asks the gate about the request. Where the gate says 200, who is there
-- becomes headers of the request and txn.oncegate_ok is set; every other answer of the gate goes to
-- the visitor as it is. In all else nothing is set: HAProxy goes on after a script that failed, so
-- the rule that demands txn.oncegate_ok belongs behind it.

-- What the gate is told of the visitor's request, beside where it goes and where it comes from.
local TOLD = { "cookie", "accept", "user-agent", "x-requested-with",
               "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-purpose", "origin",
               "upgrade", "sec-websocket-key" }
-- What the application is told: all of it, empty where the gate has nothing to say.
local IDENTITY = { "x-oncegate-user", "x-oncegate-caller", "x-oncegate-assertion", "remote-user" }
-- What of a refusal is not the visitor's.
local DROPPED = { ["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true,
                  ["content-length"] = true }
for _, name in ipairs(IDENTITY) do DROPPED[name] = true end

-- HAProxy's lists of header lines count from 0.
local function lines(list)
  local all, number = {}, 0
  while list and list[number] do
    all[#all + 1] = list[number]
    number = number + 1
  end
  return all
end

local function question(txn)
  local fetch, headers = txn.f, txn.http:req_get_headers()
  local host, uri = fetch:req_fhdr("host"), fetch:pathq()
  if not host or host == "" or not uri or uri == "" then return nil end
  local told = {
    ["host"] = { host },
    ["x-forwarded-host"] = { host },
    ["x-forwarded-uri"] = { uri },
    ["x-forwarded-method"] = { fetch:method() },
    ["x-forwarded-for"] = { fetch:src() },
    ["x-forwarded-proto"] = { fetch:ssl_fc() == 1 and "https" or "http" },
  }
  for _, name in ipairs(TOLD) do
    local found = lines(headers[name])
    if #found > 0 then told[name] = found end
  end
  -- HTTP/2 allows several lines; RFC 9113, 8.2.3 joins them.
  if told["cookie"] then told["cookie"] = { table.concat(told["cookie"], "; ") } end
  return told
end

local function refuse(txn, answer)
  local head = txn.f:method() == "HEAD"
  local reply = txn:reply{ status = answer.status, body = not head and answer.body or "" }
  for name in pairs(answer.headers) do
    if not DROPPED[name] then
      for _, line in ipairs(lines(answer.headers[name])) do reply:add_header(name, line) end
    end
  end
  txn:done(reply)
end

core.register_action("oncegate", { "http-req" }, function(txn)
  local told = question(txn)
  if not told then return end
  local answer = core.httpclient():get{
    url = "http://127.0.0.1/_once/auth/haproxy", dst = "abns@oncegate", headers = told }
  if not answer or not answer.status then return end
  if answer.status ~= 200 then
    if answer.status >= 300 and answer.status < 600 then refuse(txn, answer) end
    return
  end
  for _, name in ipairs(IDENTITY) do
    local found = lines(answer.headers[name])
    if #found > 1 then return end
    txn.http:req_set_header(name, found[1] or "")
  end
  txn:set_var("txn.oncegate_ok", true)
end, 0)
