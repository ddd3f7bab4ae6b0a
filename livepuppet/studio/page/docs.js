// The interface's own description, as a page that works without a network.

const element = (tag, text, ...children) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
};

const get = async (path) => (await fetch(path)).json();
const [model, description] = await Promise.all([get("/api/controls"), get("/api/openapi.json")]);

const takes = (setting) => ({
  switch: () => "true or false",
  number: () => `${setting.low} to ${setting.high}`,
  choice: () => "one of the state's options",
  text: () => `at most ${setting.longest} characters`,
})[setting.kind]();

const rows = document.querySelector("#settings tbody");
for (const setting of model.settings) rows.append(element("tr", "", element("td", "", element("code", setting.name)), element("td", takes(setting)), element("td", setting.help)));
for (const action of model.actions) rows.append(element("tr", "", element("td", "", element("code", action.name)), element("td", "action"), element("td", action.help)));

const calls = document.getElementById("calls");
for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, call] of Object.entries(methods)) {
    const row = element("div", "", element("b", method.toUpperCase()), element("code", path), element("p", call.description ?? call.summary));
    row.className = "call";
    calls.append(row);
  }
}

document.getElementById("example").textContent = [
  `curl -H "Authorization: Bearer TOKEN" ${location.origin}/api/state`,
  `curl -H "Authorization: Bearer TOKEN" -X PUT ${location.origin}/api/settings/freeze \\`,
  `     -H "Content-Type: application/json" -d '{"value": true}'`,
  `curl -H "Authorization: Bearer TOKEN" ${location.origin}/api/avatars?name=me --data-binary @me.jpg`,
].join("\n");
