module github.com/hfgateway/hfgateway/clients/go

go 1.24.0

require (
	github.com/hfgateway/hfgateway/generated/go v0.1.0
	google.golang.org/genproto/googleapis/rpc v0.0.0-20250804133106-a7a43d27e69b
	google.golang.org/grpc v1.76.0
	google.golang.org/protobuf v1.36.12
)

require (
	golang.org/x/net v0.42.0 // indirect
	golang.org/x/sys v0.34.0 // indirect
	golang.org/x/text v0.27.0 // indirect
)

// Use the stubs of this checkout. Dependents of this module get the version above, because Go ignores all replace
// directives but those of the main module.
replace github.com/hfgateway/hfgateway/generated/go => ../../generated/go
