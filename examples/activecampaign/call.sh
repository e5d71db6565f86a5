#!/bin/sh
# Prints a link that signs joe in, once, from the address $VISITOR alone.
token=$(curl -sS "$ONCEGATE_API/admin/api.php" \
  -d api_action=singlesignon -d api_output=json \
  --data-urlencode "api_user=$ONCEGATE_USER" --data-urlencode "api_pass=$ONCEGATE_PASSWORD" \
  -d "sso_addr=$VISITOR" -d sso_user=joe |
  jq -er '.token // error(.result_message)') &&
  echo "$SITE/?_ssot=$token"
