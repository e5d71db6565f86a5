/// What a request may cost, in allocations. One that grows what is there counts too.
pub(crate) const TABLE: [(&str, u64); 6] = [
    ("issue, one", 45),
    ("issue, each of a batch of 100", 13),
    ("redeem by API", 41),
    ("redeem by form", 48),
    ("forward auth, signed in", 15),
    ("proxied GET, signed in", 22),
];
