#!/bin/sh
# Prints a link that signs client 18 in, once.
curl -sS "$ONCEGATE_API/includes/api.php" \
  -d action=CreateSsoToken -d responsetype=json -d client_id=18 \
  --data-urlencode "identifier=$ONCEGATE_USER" --data-urlencode "secret=$ONCEGATE_KEY" |
  jq -er '.redirect_url // error(.message)'
