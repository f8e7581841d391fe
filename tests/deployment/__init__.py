"""What servers are deployed with: the chart and the image."""
