"""Prints a link that signs the owner of account 505 in, once."""
import json
import os
import sys
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

call = Request(
    os.environ["ONCEGATE_API"]
    + "/api/v3/resellers/1/user_authentication/token?account_id=505",
    headers={
        "X-Api-Token": os.environ["ONCEGATE_KEY"],
        "Accept": "application/vnd.api+json",
    },
)
try:
    answer = json.load(urlopen(call))
except HTTPError as refused:
    sys.exit(json.load(refused)["errors"][0]["title"])
user = {"user_email": answer["owner_email"], "user_token": answer["owner_token"]}
print(os.environ["SITE"] + "/?" + urlencode(user))
