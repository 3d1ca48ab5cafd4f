package hfgateway

// Version is that of this module; its tag in the repository is clients/go/v followed by it.
const Version = "0.1.0"
