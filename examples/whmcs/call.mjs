// Prints a link that signs client 18 in, once.
const { ONCEGATE_API, ONCEGATE_USER, ONCEGATE_KEY } = process.env;
const response = await fetch(`${ONCEGATE_API}/includes/api.php`, {
  method: "POST",
  body: new URLSearchParams({
    action: "CreateSsoToken",
    identifier: ONCEGATE_USER,
    secret: ONCEGATE_KEY,
    client_id: 18,
    responsetype: "json",
  }),
});
const answer = await response.json();
if (answer.result !== "success") throw new Error(answer.message);
console.log(answer.redirect_url);
