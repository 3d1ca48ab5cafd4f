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

// The stubs as they are in this checkout. Who depends on this module gets the version above: Go heeds no replace but
// the main module's.
replace github.com/hfgateway/hfgateway/generated/go => ../../generated/go
