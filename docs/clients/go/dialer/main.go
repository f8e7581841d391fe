// Dialer asks right before every call, and calls nobody of whom it does not know.
//
// It reads customer ids from standard input, one a line. For each it prints, with tabs between: the
// customer, CALL, DO_NOT_CALL, LATER or MEND, and until when or why. It ends with status 2 when
// something has to be changed before anybody can be called, and then says so.
//
//	dialer --address dns:///maywe-decision:7443 --ca-file ca.pem --token-file token \
//	    --purpose advertising --channel phone < customers
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"maywe"
	maywev1 "maywe/v1"
)

func main() {
	arguments := maywe.AddArguments()
	purpose := flag.String("purpose", "", "")
	channel := flag.String("channel", "", "")
	deadline := flag.Float64("deadline-seconds", 2, "retries included")
	flag.Parse()
	connection, err := maywe.Open(arguments)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := maywev1.NewDecisionServiceClient(connection)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		request := &maywev1.MayContactRequest{
			CustomerId: strings.TrimSpace(lines.Text()), Purpose: *purpose, Channel: *channel,
		}
		seconds := time.Duration(*deadline * float64(time.Second))
		ctx, cancel := context.WithTimeout(context.Background(), seconds)
		answer, err := client.MayContact(ctx, request)
		cancel()
		if err == nil {
			do, why := meaning(answer)
			say(request.CustomerId, do, why)
			continue
		}
		failure := maywe.FailureOf(err)
		if failure.Do == maywe.Stop {
			failure.Exit()
		}
		say(request.CustomerId, failure.Do, failure.Because())
		if failure.Do == maywe.Later {
			// It would most likely be the same with the next customer.
			time.Sleep(failure.Wait)
		}
	}
}

// meaning tells what to do with an answer, and until when or why.
func meaning(answer *maywev1.MayContactResponse) (string, string) {
	switch {
	case answer.Verdict != maywev1.Verdict_VERDICT_ALLOW:
		return "DO_NOT_CALL", strings.TrimPrefix(answer.Reason.String(), "REASON_")
	case answer.OutsidePromise:
		// Only where an operator lets servers go on that may not have heard of a revocation.
		return maywe.Later, "OUTSIDE_PROMISE"
	case answer.NotAfter == nil:
		return "CALL", "no end"
	default:
		// Whoever lets the call wait asks again, at the latest then.
		return "CALL", answer.NotAfter.AsTime().Format("until 2006-01-02T15:04:05Z")
	}
}

func say(customer, do, why string) {
	fmt.Printf("%s\t%s\t%s\n", customer, do, why)
}
