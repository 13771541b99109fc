"""ManageSieve: the door before login, the dialogue with the backend, the watch after login."""
