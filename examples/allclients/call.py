"""Prints a link that signs account 2425 in, once, and shows its settings."""
import os
import sys
from urllib.parse import urlencode
from urllib.request import urlopen
from xml.etree import ElementTree

call = {
    "apiusername": os.environ["ONCEGATE_USER"],
    "apipassword": os.environ["ONCEGATE_PASSWORD"],
    "accountid": 2425,
}
url = os.environ["ONCEGATE_API"] + "/api/2/GetSignOnUrl.aspx"
answer = ElementTree.parse(urlopen(url, urlencode(call).encode()))
if answer.findtext("error"):
    sys.exit(answer.findtext("error"))
print(answer.findtext("signonurl") + "&redirect=Settings.aspx")
