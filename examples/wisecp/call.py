"""Prints a link that signs client 18 in, once, and shows their products."""
import json
import os
import sys
from urllib.request import Request, urlopen

call = Request(
    os.environ["ONCEGATE_API"] + "/api/Clients/CreateClientSsoToken",
    json.dumps({"user_id": 18, "destination": "ac-ps-products"}).encode(),
    {"Content-Type": "application/json", "Apikey": os.environ["ONCEGATE_KEY"]},
)
answer = json.load(urlopen(call))
if answer["status"] == "error":
    sys.exit(answer["message"])
print(answer["data"]["url"])
