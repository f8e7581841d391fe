// Partner asks which data sets of a customer it may receive, for itself.
//
// For each customer it prints, with tabs between: the customer, RECEIVE, DO_NOT_RECEIVE, LATER or
// MEND, and the data sets that are allowed or why nothing is known. Why not is told to no partner. It
// ends with status 2 when something has to be changed before anything can be asked, and says so.
//
//	partner --address maywe.bank.example:7443 --ca-file bank.pem \
//	    --certificate-file telecom.pem --key-file telecom.key \
//	    --partner telecom --purpose advertising --dataset contacts ivan olga
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strings"
	"time"

	"maywe"
	maywev1 "maywe/v1"
)

func main() {
	arguments := maywe.AddArguments()
	partner := flag.String("partner", "", "who we are, as the catalog has it")
	purpose := flag.String("purpose", "", "")
	deadline := flag.Float64("deadline-seconds", 2, "retries included")
	var datasets []string
	flag.Func("dataset", "", func(one string) error { datasets = append(datasets, one); return nil })
	flag.Parse()
	connection, err := maywe.Open(arguments)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := maywev1.NewDecisionServiceClient(connection)
	for _, customer := range flag.Args() {
		request := &maywev1.MayShareRequest{
			CustomerId: customer, Partner: *partner, Datasets: datasets, Purpose: *purpose,
		}
		seconds := time.Duration(*deadline * float64(time.Second))
		ctx, cancel := context.WithTimeout(context.Background(), seconds)
		answer, err := client.MayShare(ctx, request)
		cancel()
		if err == nil {
			// Without ALLOW for all of them together, some may still be allowed.
			verdict := "DO_NOT_RECEIVE"
			if answer.Verdict == maywev1.Verdict_VERDICT_ALLOW {
				verdict = "RECEIVE"
			}
			fmt.Printf("%s\t%s\t%s\n", customer, verdict, strings.Join(answer.AllowedDatasets, ","))
			continue
		}
		failure := maywe.FailureOf(err)
		if failure.Do == maywe.Stop {
			failure.Exit()
		}
		fmt.Printf("%s\t%s\t%s\n", customer, failure.Do, failure.Because())
		if failure.Do == maywe.Later {
			time.Sleep(failure.Wait)
		}
	}
}
