# The one-node Kubernetes of the end-to-end tests, by hand: see test/node/README.md. For the Makefile to include.
.PHONY: node-build node-up node-down node-status node-test

node-build: ## Build the node's programs and images into the cache
	go run ./test/node/cmd/node build

node-up: ## Bring a real one-node Kubernetes up; it stays until node-down
	go run ./test/node/cmd/node up

node-down: ## End the node and remove what it made
	go run ./test/node/cmd/node down

node-status: ## Say what runs
	go run ./test/node/cmd/node status

node-test: ## Test the node itself
	go test -tags e2e -count=1 -timeout 60m -v ./test/node/
