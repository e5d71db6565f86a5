"""Prints a link that signs client 18 in, once."""
import json
import os
import sys
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

call = {
    "action": "CreateSsoToken",
    "identifier": os.environ["ONCEGATE_USER"],
    "secret": os.environ["ONCEGATE_KEY"],
    "client_id": 18,
    "responsetype": "json",
}
url = os.environ["ONCEGATE_API"] + "/includes/api.php"
try:
    answer = json.load(urlopen(url, urlencode(call).encode()))
except HTTPError as refused:
    answer = json.load(refused)
if answer["result"] != "success":
    sys.exit(answer["message"])
print(answer["redirect_url"])
