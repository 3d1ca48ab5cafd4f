/** The version of package.json; a test compares them. */
export const VERSION = "0.1.0";

/** How the client names itself. */
export const USER_AGENT = `hfgateway-client-typescript/${VERSION}`;
