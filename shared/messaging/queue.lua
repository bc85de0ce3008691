-- Appended to dramatiq's dispatch.lua, whose names, heartbeat and maintenance it shares.

-- As "enqueue", for many, and each id once: what still waits, or is in somebody's hands, is not there a second time.
if command == "put" then
    for i = 1, #ARGS, 2 do
        if redis.call("hsetnx", queue_messages, ARGS[i], ARGS[i + 1]) == 1 then
            redis.call("rpush", queue_full_name, ARGS[i])
        end
    end

-- As "fetch", with each message's id beside it, which the message itself may lack or lie about. Before them: how many
-- were dropped, because they are larger than anything of ours.
elseif command == "take" then
    local taken = {0}
    for _ = 1, math.min(ARGS[1], max_unpack_size) do
        local id = redis.call("lpop", queue_full_name)
        if not id then
            break
        end
        local size = redis.call("hstrlen", queue_messages, id)
        if size > tonumber(ARGS[2]) then
            redis.call("hdel", queue_messages, id)
            taken[1] = taken[1] + 1
        elseif size > 0 then
            redis.call("sadd", queue_acks, id)
            table.insert(taken, id)
            table.insert(taken, redis.call("hget", queue_messages, id))
        end
    end
    return taken
end
