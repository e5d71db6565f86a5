#!/bin/sh
# Prints a link that signs account 2425 in, once, and shows its settings.
curl -sS "$ONCEGATE_API/api/2/GetSignOnUrl.aspx" \
  --data-urlencode "apiusername=$ONCEGATE_USER" \
  --data-urlencode "apipassword=$ONCEGATE_PASSWORD" \
  -d accountid=2425 -d response_type=json |
  jq -er 'if .error then error(.error) else .signonurl + "&redirect=Settings.aspx" end'
