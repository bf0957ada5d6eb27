/* floor: the least that an answer over a UNIX socket can cost. A fixed number of
 * processes block in accept(2), read a request once, write a constant and close.
 *
 *	floor SOCKET PROCESSES REPLY */
#include <err.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(int listener, const char *reply)
{
	char request[16384 + 1];
	size_t length = strlen(reply);

	for (;;) {
		int c = accept(listener, NULL, NULL);
		if (c < 0)
			continue;
		if (read(c, request, sizeof request) > 0)
			(void)!write(c, reply, length);
		close(c);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (argc != 4 || strlen(argv[1]) >= sizeof addr.sun_path)
		errx(2, "usage: floor SOCKET PROCESSES REPLY");
	strcpy(addr.sun_path, argv[1]);
	signal(SIGPIPE, SIG_IGN);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof addr) || listen(listener, 4096))
		err(1, "%s", argv[1]);
	for (int i = atoi(argv[2]); i > 0; i--) {
		pid_t pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (pid == 0)
			serve(listener, argv[3]);
	}
	while (wait(NULL) > 0)
		;
	return 1;
}
