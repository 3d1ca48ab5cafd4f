package hfgateway

// Version is the version of this module. Its tag in the repository is "clients/go/v" followed by the version.
const Version = "0.1.0"
