// What grows, and what is measured meanwhile: the server's CPU for one delivery.
import { descriptors } from "../page.js";

const history = '[[channel]]\npattern = "*"\nhistory = { messages = 1000 }\n';

/** Round numbers up to a last one. */
const upTo = (last) => [...[1, 10, 100, 1000, 10_000, 100_000].filter((n) => n < last), last];

/** `quick`: as small as it goes, to see that everything runs. */
export function curves(quick) {
  const length = quick ? ["--messages", "100"] : ["--seconds", "1"];
  const fanOut = (subscribers, window, ...more) =>
    ["fan-out", "--subscribers", String(subscribers), "--window", String(window), ...length, ...more];
  // A room takes two connections.
  const most = quick ? 20 : Math.floor(descriptors() / 1000) * 1000, rooms = Math.floor(most / 2 / 500) * 500 || 10;
  const filtered = quick ? 10 : 10_000;
  return [
    {
      name: "subscribers", title: "Server CPU for a delivery, by subscribers of one channel", x: "subscribers",
      series: [
        { name: "one message at a time", xs: upTo(most).slice(1), run: (n) => ({ args: fanOut(n, 1) }) },
        { name: "64 on their way", xs: upTo(most).slice(1), run: (n) => ({ args: fanOut(n, 64) }) },
        { name: "64, history of 1,000", xs: upTo(most).slice(1), run: (n) => ({ args: fanOut(n, 64), config: history }) },
      ],
    },
    {
      name: "channels", title: "Server CPU for a delivery, by channels", x: "channels",
      series: [
        {
          name: "10 subscribers, each in all of them", xs: upTo(quick ? 5 : 100_000),
          run: (n) => ({ args: fanOut(10, 64, "--channels", String(n)) }),
        },
        {
          name: "a publisher and a subscriber in each", xs: upTo(rooms),
          run: (n) => ({ args: ["rooms", "--rooms", String(n), "--members", "1", "--window", "1", ...length] }),
        },
      ],
    },
    {
      name: "filters", title: `Server CPU for a delivery, by distinct filters of ${filtered.toLocaleString("en")} subscribers`, x: "distinct filters",
      series: [
        {
          name: "all of them pass everything", xs: upTo(filtered),
          run: (n) => ({ args: ["filters", "--subscribers", String(filtered), "--filters", String(n), "--window", "64", ...length] }),
        },
      ],
    },
  ];
}
