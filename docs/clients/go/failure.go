package maywe

import (
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What to do when a call fails. Whatever it is, nobody is called, written to or told anything.
const (
	// Later: nobody knows the answer now: wait, go on with others, and ask again.
	Later = "LATER"
	// Mend: this customer's id is at fault, and only mending it helps; others can be asked about.
	Mend = "MEND"
	// Stop: the next call would fail the same way: end, and tell whoever runs the program.
	Stop = "STOP"
)

// Wait is how long to wait where the server does not say.
const Wait = time.Second

// With any other status we have to change something first.
var later = map[codes.Code]bool{
	codes.Unavailable:       true, // no server, or a server without its stores
	codes.ResourceExhausted: true, // a limit is reached, the servers' or our own
	codes.DeadlineExceeded:  true, // not in time
	codes.Canceled:          true, // the connection broke in the middle
	codes.Aborted:           true, // somebody else was first
	codes.Internal:          true, // a defect: the server's log has it under the id in the details
	codes.Unknown:           true, // as above, of something between us
}

var names = map[codes.Code]string{
	codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN", codes.InvalidArgument: "INVALID_ARGUMENT",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.NotFound: "NOT_FOUND",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED",
	codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL",
	codes.Unavailable: "UNAVAILABLE", codes.Unauthenticated: "UNAUTHENTICATED",
}

// Failure is a call that failed: what to do, how long to wait first, and why.
type Failure struct {
	Do                      string
	Wait                    time.Duration
	Status, Reason, Message string
}

// FailureOf reads a failed call.
func FailureOf(err error) Failure {
	found := status.Convert(err)
	failure := Failure{Do: Stop, Wait: Wait, Status: names[found.Code()], Message: found.Message()}
	faulty := ""
	// A proxy or gRPC itself may have ended the call: then there are no details.
	for _, detail := range found.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			failure.Reason = strings.TrimPrefix(detail.Reason, "ERROR_REASON_")
		case *errdetails.RetryInfo:
			failure.Wait = detail.RetryDelay.AsDuration()
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				faulty += violation.Field + ","
			}
		}
	}
	if later[found.Code()] {
		failure.Do = Later
	} else if faulty == "customer_id," {
		failure.Do = Mend
	}
	return failure
}

// Because gives the reason, or else the status.
func (failure Failure) Because() string {
	if failure.Reason != "" {
		return failure.Reason
	}
	return failure.Status
}

// Exit says that something has to be changed, and ends the program so.
func (failure Failure) Exit() {
	fmt.Fprintln(os.Stderr, "STOP", failure.Status, failure.Reason, failure.Message)
	os.Exit(2)
}
