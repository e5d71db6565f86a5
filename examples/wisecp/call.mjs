// Prints a link that signs client 18 in, once, and shows their products.
const { ONCEGATE_API, ONCEGATE_KEY } = process.env;
const response = await fetch(`${ONCEGATE_API}/api/Clients/CreateClientSsoToken`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Apikey: ONCEGATE_KEY },
  body: JSON.stringify({ user_id: 18, destination: "ac-ps-products" }),
});
const answer = await response.json();
if (answer.status === "error") throw new Error(answer.message);
console.log(answer.data.url);
