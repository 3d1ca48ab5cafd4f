// Refuses connections that leave this machine, and fails the run if one was tried, even if the SDK swallows the error.
// Load it before all other modules.
"use strict";

const net = require("node:net");

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/;
const REFUSED = 86;
const connect = net.Socket.prototype.connect;

function target(args) {
  // Node's own callers pass the arguments as one normalised array: [options, callback].
  const first = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (typeof first === "object" && first !== null) return first.path ? null : (first.host ?? "localhost");
  if (typeof first === "string" && Number.isNaN(Number(first))) return null;
  return typeof args[1] === "string" ? args[1] : "localhost";
}

net.Socket.prototype.connect = function guarded(...args) {
  const host = target(args);
  if (host !== null && !LOOPBACK.test(host)) {
    process.on("exit", () => {
      process.exitCode = REFUSED;
    });
    throw new Error(`a test tried to reach ${host}`);
  }
  return connect.apply(this, args);
};
