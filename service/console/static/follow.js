// Follows a run's log while it goes on. Everything is set as text: an app's words are never markup.
"use strict";
const list = document.getElementById("log");

function part(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function line(event) {
  const item = document.createElement("li");
  item.className = `${event.kind} ${event.status}`;
  item.append(part("time", event.at.slice(11, 19)), " ", part("b", event.subject), " ");
  if (event.status) item.append(part("i", event.status), " ");
  item.append(part("span", event.message));
  if (event.seconds !== null) item.append(" ", part("em", `${event.seconds.toFixed(1)} s`));
  return item;
}

if (list && list.dataset.live) {
  const stream = new EventSource(list.dataset.events);
  let last = list.dataset.last;
  stream.onmessage = (message) => {
    // The page already shows what was there when it was made.
    if (message.lastEventId <= last) return;
    last = message.lastEventId;
    const atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 40;
    for (const event of JSON.parse(message.data)) list.append(line(event));
    if (atEnd) window.scrollTo(0, document.body.scrollHeight);
  };
  stream.addEventListener("end", () => {
    stream.close();
    window.location.reload();
  });
}
