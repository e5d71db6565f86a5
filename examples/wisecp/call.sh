#!/bin/sh
# Prints a link that signs client 18 in, once, and shows their products.
curl -sS "$ONCEGATE_API/api/Clients/CreateClientSsoToken" \
  -H "Apikey: $ONCEGATE_KEY" -H 'Content-Type: application/json' \
  -d '{"user_id": 18, "destination": "ac-ps-products"}' |
  jq -er '.data.url // error(.message)'
