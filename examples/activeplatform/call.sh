#!/bin/sh
# Prints a link that signs the owner of account 505 in, once.
curl -sS "$ONCEGATE_API/api/v3/resellers/1/user_authentication/token?account_id=505" \
  -H "X-Api-Token: $ONCEGATE_KEY" -H 'Accept: application/vnd.api+json' |
  jq -er 'if .errors then error(.errors[0].detail) else
    "\(env.SITE)/?user_email=\(.owner_email | @uri)&user_token=\(.owner_token)" end'
