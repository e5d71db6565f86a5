// Prints a link that signs account 2425 in, once, and shows its settings.
const { ONCEGATE_API, ONCEGATE_USER, ONCEGATE_PASSWORD } = process.env;
const response = await fetch(`${ONCEGATE_API}/api/2/GetSignOnUrl.aspx`, {
  method: "POST",
  body: new URLSearchParams({
    apiusername: ONCEGATE_USER,
    apipassword: ONCEGATE_PASSWORD,
    accountid: 2425,
    response_type: "json",
  }),
});
const answer = await response.json();
if (answer.error) throw new Error(answer.error);
console.log(`${answer.signonurl}&redirect=Settings.aspx`);
