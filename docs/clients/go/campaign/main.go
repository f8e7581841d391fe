// Campaign filters an audience of any size, and goes on where it was interrupted.
//
// It reads customer ids from the file AUDIENCE, one a line, and appends a line for each to the file
// VERDICTS, in the same order: the customer, ALLOW, DENY or UNDETERMINED, and why, with tabs between.
// Started again with the same files it goes on after the last line. It ends with status 1 when answers
// are missing, and with 2 when something has to be changed before anything can be asked. A verdict is
// of the instant at which it came: send soon, or ask again by BatchCheck before you do.
//
//	campaign --address dns:///maywe-decision:7443 --ca-file ca.pem --token-file token \
//	    --purpose advertising --channel sms audience verdicts
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"maywe"
	maywev1 "maywe/v1"
)

const (
	// Sent and not answered: this keeps memory small, here and there, however slow either side is.
	chunksUnderWayMax = 4
	// In a row, without an answer in between.
	failuresMax = 30
	// How often a customer is asked about of whom the servers can not know.
	undeterminedAskedMax = 10
	checksPerBatchMax    = 1000
	batchTimeout         = 10 * time.Second
)

type answer struct {
	customer string
	verdict  maywev1.Verdict
	reason   maywev1.Reason
}

func main() {
	arguments := maywe.AddArguments()
	purpose := flag.String("purpose", "", "")
	channel := flag.String("channel", "", "")
	chunkSize := flag.Int("chunk-size", 1000, "at most 10000")
	streamSeconds := flag.Float64("stream-seconds", 60, "")
	flag.Parse()
	done, err := countWholeLines(flag.Arg(1))
	exitOn(err)
	audience, err := os.Open(flag.Arg(0))
	exitOn(err)
	verdicts, err := os.OpenFile(flag.Arg(1), os.O_APPEND|os.O_WRONLY, 0o600)
	exitOn(err)
	connection, err := maywe.Open(arguments)
	exitOn(err)
	lines := bufio.NewScanner(audience)
	for range done {
		lines.Scan()
	}
	campaign := &campaign{
		client:   maywev1.NewDecisionServiceClient(connection),
		question: &maywev1.ContactQuestion{Purpose: *purpose, Channel: *channel},
		timeout:  time.Duration(*streamSeconds * float64(time.Second)),
		lines:    lines,
		size:     *chunkSize,
	}
	failures, undetermined := 0, 0
	write := func(answers []answer) error {
		failures = 0
		undetermined += len(undeterminedOf(answers))
		_, err := verdicts.WriteString(text(answers))
		return err
	}
	for !campaign.isDone {
		err := campaign.ask(write)
		if err == nil {
			continue
		}
		failures++
		failure := maywe.FailureOf(err)
		if failure.Do != maywe.Later {
			failure.Exit()
		}
		if failures == failuresMax {
			fmt.Fprintln(os.Stderr, "GIVEN UP", failure.Status, failure.Reason)
			os.Exit(1)
		}
		time.Sleep(failure.Wait)
	}
	exitOn(lines.Err())
	if undetermined > 0 {
		os.Exit(1)
	}
}

// campaign is one question about an audience.
type campaign struct {
	client   maywev1.DecisionServiceClient
	question *maywev1.ContactQuestion
	timeout  time.Duration
	lines    *bufio.Scanner
	size     int
	isDone   bool
	// Chunks that were read and are not answered: another stream begins with them.
	waiting [][]string
}

// ask asks by one stream, and writes the answers to each chunk. A stream stays with the server that it
// began with. It has a deadline, so that nothing waits for ever, and so that servers which came later
// get their part.
func (campaign *campaign) ask(write func([]answer) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), campaign.timeout)
	defer cancel()
	stream, err := campaign.client.FilterAudience(ctx)
	if err != nil {
		return err
	}
	asked := &maywev1.AudienceQuestion{
		Question: &maywev1.AudienceQuestion_Contact{Contact: campaign.question},
	}
	// Why something can not be sent is what the next Recv says.
	_ = stream.Send(&maywev1.FilterAudienceRequest{
		Part: &maywev1.FilterAudienceRequest_Question{Question: asked},
	})
	for _, chunk := range campaign.waiting {
		send(stream, chunk)
	}
	campaign.sendMore(stream)
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil // without the end: the next stream goes on
		}
		if err != nil {
			return err
		}
		verdicts := response.GetVerdicts()
		if verdicts == nil {
			campaign.isDone = true
			return nil
		}
		answers := make([]answer, len(verdicts.Verdicts))
		for place, customer := range campaign.waiting[0] {
			answers[place] = answer{customer, verdicts.Verdicts[place], verdicts.Reasons[place]}
		}
		if err := campaign.settle(answers); err != nil {
			return err
		}
		campaign.waiting = campaign.waiting[1:]
		campaign.sendMore(stream)
		if err := write(answers); err != nil {
			log.Fatal(err)
		}
	}
}

// sendMore sends chunks while not too many are under way; after the last one it half-closes.
func (campaign *campaign) sendMore(stream maywev1.DecisionService_FilterAudienceClient) {
	for len(campaign.waiting) < chunksUnderWayMax {
		var chunk []string
		for len(chunk) < campaign.size && campaign.lines.Scan() {
			chunk = append(chunk, strings.TrimSpace(campaign.lines.Text()))
		}
		if chunk == nil {
			_ = stream.CloseSend()
			return
		}
		campaign.waiting = append(campaign.waiting, chunk)
		send(stream, chunk)
	}
}

func send(stream maywev1.DecisionService_FilterAudienceClient, chunk []string) {
	_ = stream.Send(&maywev1.FilterAudienceRequest{
		Part: &maywev1.FilterAudienceRequest_Chunk{
			Chunk: &maywev1.AudienceChunk{CustomerIds: chunk},
		},
	})
}

// settle asks again, a few times, about those of whom a server could not know.
func (campaign *campaign) settle(answers []answer) error {
	for range undeterminedAskedMax {
		left := undeterminedOf(answers)
		if len(left) == 0 {
			return nil
		}
		time.Sleep(maywe.Wait)
		for len(left) > 0 {
			some := left[:min(len(left), checksPerBatchMax)]
			left = left[len(some):]
			if err := campaign.askBatch(some); err != nil {
				return err
			}
		}
	}
	return nil
}

// askBatch asks about some customers at once.
func (campaign *campaign) askBatch(some []*answer) error {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	request := &maywev1.BatchCheckRequest{}
	for _, one := range some {
		request.Checks = append(request.Checks, &maywev1.BatchCheckItem{
			Question: &maywev1.BatchCheckItem_Contact{Contact: &maywev1.MayContactRequest{
				CustomerId: one.customer,
				Purpose:    campaign.question.Purpose,
				Channel:    campaign.question.Channel,
			}},
		})
	}
	response, err := campaign.client.BatchCheck(ctx, request)
	if err != nil {
		return err
	}
	for place, result := range response.Results {
		// What a chunk took has no fault; elsewhere look whether a result is an error.
		some[place].verdict = result.GetContact().GetVerdict()
		some[place].reason = result.GetContact().GetReason()
	}
	return nil
}

func undeterminedOf(answers []answer) []*answer {
	var found []*answer
	for place := range answers {
		if answers[place].verdict == maywev1.Verdict_VERDICT_UNDETERMINED {
			found = append(found, &answers[place])
		}
	}
	return found
}

func text(answers []answer) string {
	var lines strings.Builder
	for _, one := range answers {
		verdict := strings.TrimPrefix(one.verdict.String(), "VERDICT_")
		reason := strings.TrimPrefix(one.reason.String(), "REASON_")
		fmt.Fprintf(&lines, "%s\t%s\t%s\n", one.customer, verdict, reason)
	}
	return lines.String()
}

// countWholeLines counts the lines of a file that may not be there, and cuts off one that was not
// finished.
func countWholeLines(name string) (int, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	count, end := 0, int64(0)
	for reader := bufio.NewReader(file); ; count++ {
		line, err := reader.ReadBytes('\n')
		if !bytes.HasSuffix(line, []byte("\n")) {
			if errors.Is(err, io.EOF) {
				return count, file.Truncate(end)
			}
			return 0, err
		}
		end += int64(len(line))
	}
}

func exitOn(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
