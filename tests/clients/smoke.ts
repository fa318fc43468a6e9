// What a program does with the generated client: `node smoke.js URL EMAIL PASSWORD`.
// `client.ts` is the one that docs/CLIENTS.md shows.

import { createApi, type Tokens, type TokenStore } from "./client.js";

declare const process: { argv: string[] };

function memoryStore(): TokenStore {
  let tokens: Tokens | null = null;
  let last: Promise<unknown> = Promise.resolve();
  return {
    read: () => tokens,
    write: (value) => {
      tokens = value;
    },
    exclusively: (work) => {
      const result = last.then(work);
      last = result.catch(() => null);
      return result;
    },
  };
}

function check(holds: boolean, claim: string): asserts holds {
  if (!holds) throw new Error(claim);
}

const [url = "", email = "", password = ""] = process.argv.slice(2);
const store = memoryStore();
const api = createApi(url, store);

async function logsIn() {
  const wrong = await api.POST("/api/v1/auth/login", { body: { email, password: "wrong" } });
  check(wrong.error?.error === "unauthorized", "a wrong password is refused");
  const { data } = await api.POST("/api/v1/auth/login", { body: { email, password } });
  check(data !== undefined && "access_token" in data, "the right one is not");
  store.write(data);
}

async function lists() {
  for (const name of ["ada", "grace", "katherine"]) {
    const body = { email: `${name}@example.com`, password: "correct horse battery staple" };
    const { response } = await api.POST("/api/v1/users", { body });
    check(response.status === 201, `${name} is created`);
  }
  const { data: first } = await api.GET("/api/v1/users", {
    params: { query: { sort_by: "username", sort_order: "asc", size: 2 } },
  });
  check(first?.items[0]?.username === "ada", "the first page begins with the first name");

  const names: string[] = [];
  let cursor: string | null = null;
  do {
    const query: { size: number; cursor?: string } = cursor ? { size: 3, cursor } : { size: 3 };
    const page = await api.GET("/api/v1/users/cursor", { params: { query } });
    check(page.data !== undefined, "there is a next page");
    names.push(...page.data.items.map((user) => user.username));
    cursor = page.data.next_cursor;
  } while (cursor !== null);
  check(names.length === first.total && names.length > 3, "the cursor leads through all of them");
}

async function isRefused() {
  const invalid = await api.POST("/api/v1/users", { body: { email: "no email", password: "x" } });
  check(invalid.error?.error === "validation_error", "bad values are refused");
  check(invalid.error.details[0]?.field === "email", "the field is named");
  const missing = await api.GET("/api/v1/users/{user_id}", { params: { path: { user_id: 9e9 } } });
  check(missing.error?.error === "not_found", "a user who is not there is not found");

  // @ts-expect-error: a misspelt field does not compile
  await api.POST("/api/v1/auth/login", { body: { mail: email, password } });
  // @ts-expect-error: nor does an unknown path
  await api.GET("/api/v1/nothing");
}

async function refreshes() {
  const before = store.read();
  check(before !== null, "there are tokens");
  store.write({ ...before, access_token: "expired" });
  const both = await Promise.all([api.GET("/api/v1/users/me"), api.GET("/api/v1/users/me")]);
  check(both.every(({ data }) => data?.email === email), "both calls get through");
  const after = store.read();
  check(after !== null && after.refresh_token !== before.refresh_token, "with a new pair");
  const change = { body: { full_name: "Ada Lovelace" } };
  store.write({ ...after, access_token: "expired" });
  const { data } = await api.PATCH("/api/v1/users/me", change);
  check(data?.full_name === "Ada Lovelace", "a request with a body is repeated, too");
}

async function logsOut() {
  const { response } = await api.POST("/api/v1/auth/logout");
  check(response.status === 204, "the session ends");
  const { error } = await api.GET("/api/v1/users/me");
  check(error?.error === "token_revoked", "its token is refused");
  check(store.read() === null, "and forgotten");
}

await logsIn();
await lists();
await isRefused();
await refreshes();
await logsOut();
